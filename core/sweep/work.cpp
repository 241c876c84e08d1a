#include "core/sweep/work.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "core/base/alive.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/base/text.h"
#include "core/train/run.h"
#include "core/train/stage_gate.h"
#include "core/train/stage_prefix.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kMostKilled = 8;   // in a row, without progress
constexpr size_t kMostFailures = 3;  // trials in a row: it may be this process that is at fault, and not the trials
constexpr auto kBetweenSigns = std::chrono::milliseconds(300);
constexpr auto kBetweenLooks = std::chrono::milliseconds(300);

int64_t parameters_of(const fs::path& run) {
  const fs::path manifest = run / "manifest.json";
  if (!fs::exists(manifest)) return 0;
  const nlohmann::json json = nlohmann::json::parse(read_text(manifest), nullptr, false);
  return json.is_object() ? json.value("parameters", int64_t{0}) : 0;
}

class TrialRun {
 public:
  TrialRun(const WorkContext& context, size_t index)
      : context_(context), index_(index), trial_(context.trials[index]), store_(context.store) {}

  Attempt run() {
    std::optional<LockFile> claim = store_.claim(trial_.id);
    if (!claim) return Attempt::kNotMine;
    history_ = read_history(claim->text());
    if (history_.failures > context_.rules.workers.retries) return settle("failed", history_.cause);
    if (history_.killed >= kMostKilled)
      return settle("failed", fmt::format("was killed {} times at one place, as a system does that is out of memory; see {}",
                                          history_.killed, store_.log(trial_.id).string()));
    if (!hold_prefixes()) return Attempt::kNotMine;
    prepare();
    claim->append(start_line(store_.standing(trial_.id)));
    ++history_.starts;
    give_signs(*claim);
    const auto begin = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
    try {
      train();
    } catch (const Interrupted&) {
      on_sign_of_life({});
      claim->append(end_line("stopped", "", seconds()));
      throw;
    } catch (const train::Halted&) {
      on_sign_of_life({});
      claim->append(end_line("halted", why_, seconds()));
      history_.seconds += seconds();
      return context_.rules.stop.use == "median" ? settle("pruned", why_) : Attempt::kHalted;
    } catch (const NoSpaceError& error) {  // of the disk, which another attempt would find as full
      on_sign_of_life({});
      claim->append(end_line("no-space", error.what(), seconds()));
      throw;
    } catch (const std::exception& error) {
      on_sign_of_life({});
      claim->append(end_line("failed", error.what(), seconds()));
      context_.say(trial_.id + " failed: " + error.what());
      history_.seconds += seconds();
      return ++history_.failures > context_.rules.workers.retries ? settle("failed", error.what()) : Attempt::kFailed;
    }
    on_sign_of_life({});
    history_.seconds += seconds();
    settle("complete", "");
    claim->append(end_line("done", "", seconds()));  // last: it says once that the trial was run
    return Attempt::kSettled;
  }

 private:
  fs::path folder() const { return store_.trial(trial_.id); }

  /// The right to make the common stages that it would be the first to make. False when another process makes one of them.
  bool hold_prefixes() {
    for (int round = 0; round < 2; ++round) {  // twice: what was missing may have been made before it was held
      prefixes_.clear();
      Scanner scanner(store_, context_.trials, context_.rules);
      for (const std::string& prefix : scanner.prefixes_to_make(index_)) {
        std::optional<LockFile> held = store_.claim_shared(prefix);
        if (!held) return false;
        prefixes_.emplace(prefix, std::move(*held));
      }
    }
    return true;
  }

  void give_signs(LockFile& claim) const {
    on_sign_of_life([&claim, last = Clock::now() - kBetweenSigns]() mutable {
      if (Clock::now() - last < kBetweenSigns) return;
      last = Clock::now();
      claim.touch();
    });
  }

  /// What this process needs for the trial. A fault in it (a plugin, a file that is not here) is this process's and no attempt of
  /// the trial.
  void prepare() {
    ErrorList errors;
    recipe_ =
        train::recipe_of_table(store_.folder() / "list.jsonl",
                               std::make_shared<toml::table>(io::parse_toml(trial_.recipe, "recipe of " + trial_.id)), errors);
    errors.throw_if_any();
    services_ = context_.services(recipe_);
    if (!context_.rules.workers.reports) services_.report = {};
    services_.teacher_values = teacher_values_of(context_.rules.share, store_.teacher_values());
    services_.watcher.stage_done = [&](size_t stages, const fs::path& checkpoint) { hand_on(stages, checkpoint); };
    if (context_.rules.stop.use != "none")
      services_.watcher.go_on = [&](int64_t step, const train::NamedNumbers& numbers) {
        return !train::find(numbers, context_.rules.objective.metric) || may_go_on(step);  // not looked at without the objective
      };
  }

  void train() {
    begin_where_others_were();
    train::run_recipe(recipe_, {folder(), true}, services_);
  }

  void begin_where_others_were() {
    if (fs::exists(folder())) return;
    for (size_t stages = trial_.prefixes.size(); stages > 0; --stages)
      if (const fs::path from = store_.shared(trial_.prefixes[stages - 1]); fs::exists(from)) {
        train::begin_from_prefix(recipe_, from, folder());
        return context_.say(
            fmt::format("{}: its first {} {} trained already", trial_.id, stages, stages == 1 ? "stage is" : "stages are"));
      }
  }

  void hand_on(size_t stages, const fs::path& checkpoint) {
    if (stages == 0 || stages > trial_.prefixes.size()) return;
    const auto held = prefixes_.find(trial_.prefixes[stages - 1]);
    if (held == prefixes_.end()) return;
    try {
      train::save_prefix(folder(), checkpoint, store_.shared(held->first));
    } catch (const UserError& error) {  // the trial itself is sound: others train these stages anew
      context_.say(trial_.id + ": its first stages are not handed on: " + error.what());
    }
    prefixes_.erase(held);
  }

  bool may_go_on(int64_t step) {
    if (!scanner_) scanner_.emplace(store_, context_.trials, context_.rules);
    return may_reach(index_, scanner_->look(), context_.rules.stop, context_.rules.objective, &why_) > step;
  }

  Attempt settle(const std::string& state, const std::string& cause) {
    const RunNumbers numbers = read_run_numbers(folder() / "metrics.jsonl", context_.rules.objective.metric);
    if (state == "complete" && !context_.rules.workers.keep_checkpoints) fs::remove_all(folder() / "checkpoints");
    store_.finish(trial_.id, {.state = state,
                              .cause = cause,
                              .steps = numbers.steps,
                              .parameters = parameters_of(folder()),
                              .seconds = history_.seconds,
                              .values = numbers.values,
                              .starts = history_.starts,
                              .failures = history_.failures});
    return Attempt::kSettled;
  }

  const WorkContext& context_;
  size_t index_;
  const Trial& trial_;
  const Store& store_;
  History history_;
  std::map<std::string, LockFile> prefixes_;
  train::Recipe recipe_;
  train::Services services_;
  std::optional<Scanner> scanner_;  // for the stop rule
  std::string why_;
};

}  // namespace

std::optional<train::TeacherValuesSpec> teacher_values_of(const ShareRules& share, const fs::path& folder) {
  if (share.teacher_values == "off") return std::nullopt;
  return train::TeacherValuesSpec{folder, share.teacher_values == "f16" ? DType::kF16 : DType::kF32, share.limit_bytes()};
}

Attempt run_trial(const WorkContext& context, size_t index) { return TrialRun(context, index).run(); }

bool work(const WorkContext& context) {
  Scanner scanner(context.store, context.trials, context.rules);
  bool any_failed = false;
  std::set<size_t> in_a_row;  // trials that failed since one did not
  for (;;) {
    check_interrupt();
    Attempt attempt = Attempt::kNotMine;
    for (const size_t index : candidates(scanner.look(), context.rules.stop, context.rules.objective)) {
      attempt = run_trial(context, index);
      if (attempt == Attempt::kNotMine) continue;
      const std::optional<Outcome> outcome = context.store.outcome(context.trials[index].id);
      const bool failed = attempt == Attempt::kFailed || (outcome && outcome->state == "failed");
      any_failed = any_failed || failed;
      if (failed)
        in_a_row.insert(index);
      else
        in_a_row.clear();
      break;
    }
    if (in_a_row.size() >= kMostFailures)
      throw Error(fmt::format("[{}] {} trials in a row have failed here; this worker takes no more of them",
                              context.store.folder().string(), in_a_row.size()));
    if (attempt != Attempt::kNotMine) continue;
    const std::vector<TrialState>& states = scanner.look();  // again: what was claimed meanwhile may come back
    if (std::none_of(states.begin(), states.end(), [](const TrialState& s) { return !s.settled && s.claimed; }) &&
        candidates(states, context.rules.stop, context.rules.objective).empty())
      return !any_failed;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace espalier::sweep
