#include "core/sweep/work.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/train/run.h"
#include "core/train/stage_prefix.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kMostLost = 8;  // deaths in a row without a word and without progress
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
    if (history_.lost >= kMostLost)
      return settle("failed", fmt::format("died {} times at one place without a word (killed, out of memory, or a plugin that "
                                          "crashes); see {}",
                                          history_.lost, store_.log(trial_.id).string()));
    if (!hold_prefixes()) return Attempt::kNotMine;
    claim->append(start_line(store_.standing(trial_.id)));
    ++history_.starts;
    give_signs(*claim);
    const auto begin = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
    try {
      train();
    } catch (const Interrupted&) {
      on_progress({});
      claim->append(end_line("stopped", "", seconds()));
      throw;
    } catch (const train::Halted&) {
      on_progress({});
      claim->append(end_line("halted", why_, seconds()));
      history_.seconds += seconds();
      return context_.rules.stop.use == "median" ? settle("pruned", why_) : Attempt::kHalted;
    } catch (const std::exception& error) {
      on_progress({});
      claim->append(end_line("failed", error.what(), seconds()));
      context_.say(trial_.id + " failed: " + error.what());
      history_.seconds += seconds();
      return ++history_.failures > context_.rules.workers.retries ? settle("failed", error.what()) : Attempt::kFailed;
    }
    on_progress({});
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
    on_progress([&claim, last = Clock::now() - kBetweenSigns]() mutable {
      if (Clock::now() - last < kBetweenSigns) return;
      last = Clock::now();
      claim.touch();
    });
  }

  void train() {
    ErrorList errors;
    const train::Recipe recipe =
        train::recipe_of_table(store_.folder() / "list.jsonl",
                               std::make_shared<toml::table>(io::parse_toml(trial_.recipe, "recipe of " + trial_.id)), errors);
    errors.throw_if_any();
    begin_where_others_were(recipe);
    train::Services services = context_.services(recipe);
    if (!context_.rules.workers.reports) services.report = {};
    services.teacher_values = teacher_values_of(context_.rules.share, store_.teacher_values());
    services.watcher.stage_done = [&](size_t stages, const fs::path& checkpoint) { hand_on(stages, checkpoint); };
    if (context_.rules.stop.use != "none")
      services.watcher.go_on = [&](int64_t step, const train::NamedNumbers&) { return may_go_on(step); };
    train::run_recipe(recipe, {folder(), true}, services);
  }

  void begin_where_others_were(const train::Recipe& recipe) {
    if (fs::exists(folder())) return;
    for (size_t stages = trial_.prefixes.size(); stages > 0; --stages)
      if (const fs::path from = store_.shared(trial_.prefixes[stages - 1]); fs::exists(from)) {
        train::begin_from_prefix(recipe, from, folder());
        return context_.say(
            fmt::format("{}: its first {} {} trained already", trial_.id, stages, stages == 1 ? "stage is" : "stages are"));
      }
  }

  void hand_on(size_t stages, const fs::path& checkpoint) {
    if (stages == 0 || stages > trial_.prefixes.size()) return;
    const auto held = prefixes_.find(trial_.prefixes[stages - 1]);
    if (held == prefixes_.end()) return;
    train::save_prefix(folder(), checkpoint, store_.shared(held->first));
    prefixes_.erase(held);
  }

  bool may_go_on(int64_t step) {
    Scanner scanner(store_, context_.trials, context_.rules);
    return may_reach(index_, scanner.look(), context_.rules.stop, context_.rules.objective, &why_) > step;
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
  std::string why_;
};

}  // namespace

std::optional<train::TeacherValuesSpec> teacher_values_of(const ShareRules& share, const fs::path& folder) {
  if (share.teacher_values == "off") return std::nullopt;
  return train::TeacherValuesSpec{folder, share.teacher_values == "f16" ? DType::kF16 : DType::kF32, share.limit_bytes()};
}

Attempt run_trial(const WorkContext& context, size_t index) { return TrialRun(context, index).run(); }

void work(const WorkContext& context) {
  Scanner scanner(context.store, context.trials, context.rules);
  for (;;) {
    check_interrupt();
    const std::vector<TrialState>& states = scanner.look();
    bool ran = false;
    for (const size_t index : candidates(states, context.rules.stop, context.rules.objective)) {
      const Attempt attempt = run_trial(context, index);
      ran = attempt != Attempt::kNotMine;
      if (ran) break;
    }
    if (ran) continue;
    bool others = false;
    for (const TrialState& state : states) others = others || (!state.settled && state.claimed);
    if (!others) return;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace espalier::sweep
