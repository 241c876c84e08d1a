#include "core/sweep/control.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "core/base/child.h"
#include "core/base/interrupt.h"
#include "core/base/progress.h"
#include "core/base/tail.h"
#include "core/base/text.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr auto kRest = std::chrono::milliseconds(20);            // between two looks, at least
constexpr auto kBetweenTables = std::chrono::seconds(2);         // at least, while trials run
constexpr auto kBetweenSteps = std::chrono::milliseconds(500);   // between two readings of how far trials are
constexpr auto kRestElsewhere = std::chrono::milliseconds(200);  // where trials are run by others
constexpr auto kAgain = std::chrono::milliseconds(200);          // before a trial that a worker did not get is offered again
constexpr auto kForCheckpoints = std::chrono::minutes(10);       // for workers that were asked to stop
constexpr int64_t kMostIdle = 10;                                // workers in a row that ended well without having begun
constexpr int kPageShare = 20;                                   // of the time between two pages, one part may go into a page
constexpr size_t kTail = 1 << 15;                                // bytes of metrics that the last step is looked for in

/// Steps that a run has made, from the end of its metrics.
int64_t steps_of(const fs::path& metrics) {
  const std::vector<std::string> lines = split(tail_of(metrics, kTail), '\n');
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const nlohmann::json row = nlohmann::json::parse(*line, nullptr, false);
    if (row.is_object() && row.contains("step")) return row.value("step", int64_t{0}) + (row.contains("total") ? 1 : 0);
  }
  return 0;
}

std::string last_line(const fs::path& log) {
  const std::string line = last_line_of(log);
  return line.empty() ? "its log is empty" : line;
}

struct Slot {
  size_t trial;
  int64_t number;
  Child child;
  int64_t starts;  // of the trial before this worker
  int64_t sign = 0;
  Clock::time_point sign_seen = Clock::now();
  bool ended_by_us = false;
};

class Controller {
 public:
  Controller(const Store& store, const std::vector<Trial>& trials, const Rules& rules, const ControlOptions& options)
      : store_(store),
        trials_(trials),
        rules_(rules),
        options_(options),
        source_(options.source),
        scanner_(store, trials_, rules),
        steps_(trials.size(), 0) {}

  SweepEnd run() {
    const InterruptGuard guard;
    begin_source();
    scanner_.look();
    if (options_.elsewhere != nullptr) hand_over();
    progress_ = std::make_unique<Progress>("sweep", steps_left());
    while (!over()) {
      if (interrupt_requested()) stop_for_the_user();
      reap();
      end_stalled();
      fill();
      show();
      tables(false);
      rest();
    }
    stop_workers();
    if (!abandoned_) settle_waiting();
    progress_.reset();
    remove_teacher_values();
    tables(true);
    if (abandoned_) options_.say(options_.elsewhere->when_over(end().left));
    return end();
  }

 private:
  void hand_over() {
    std::vector<std::string> ids;
    for (size_t i = 0; i < trials_.size(); ++i)
      if (!scanner_.states()[i].settled)
        ids.push_back(trials_[i].id);
      else
        said_.insert(i);
    if (!ids.empty()) options_.elsewhere->begin(ids);
  }

  std::set<size_t> taken() const {
    std::set<size_t> indices;
    for (const Slot& slot : slots_) indices.insert(slot.trial);
    return indices;
  }

  bool over() {
    const bool queued = options_.elsewhere != nullptr && any_left() && options_.elsewhere->alive();  // before what it has done
    const auto begin = Clock::now();
    scanner_.look(taken());
    look_took_ = Clock::now() - begin;
    tell_source();
    if (options_.elsewhere != nullptr) say_failures();
    if (too_many_failed()) return true;
    if (!slots_.empty() || more_to_ask()) return false;
    const auto& states = scanner_.states();
    const bool others = std::any_of(states.begin(), states.end(), [](const TrialState& s) { return !s.settled && s.claimed; });
    if (others) return false;
    const bool none_to_run = candidates(states, rules_.stop, rules_.objective).empty();
    abandoned_ = options_.elsewhere != nullptr && !queued && !none_to_run;
    return none_to_run || abandoned_;
  }

  bool any_left() const {
    const auto& states = scanner_.states();
    return std::any_of(states.begin(), states.end(), [](const TrialState& s) { return !s.settled; });
  }

  /// Of trials that no worker of ours ran.
  void say_failures() {
    for (size_t i = 0; i < trials_.size(); ++i)
      if (const auto& outcome = scanner_.outcome(i); outcome && said_.insert(i).second && outcome->state == "failed")
        options_.say(fmt::format("{} ({}) failed: {}", trials_[i].id, label_of(trials_[i]), outcome->cause));
  }

  bool too_many_failed() {
    int64_t failed = 0;
    for (size_t i = 0; i < trials_.size(); ++i) failed += scanner_.outcome(i) && scanner_.outcome(i)->state == "failed" ? 1 : 0;
    const bool fast = rules_.workers.on_failure == "fail-fast" && failed > 0;
    const bool many = rules_.workers.max_failures && failed > *rules_.workers.max_failures;
    if ((fast || many) && !stopped_) {
      stopped_ = true;
      options_.say(fmt::format("{} trial{} failed: the sweep stops, as [workers] {} asks", failed,
                               failed == 1 ? " has" : "s have", fast ? "on_failure = \"fail-fast\"" : "max_failures"));
    }
    return stopped_;
  }

  void fill() {
    if (options_.elsewhere != nullptr) return;
    if (static_cast<int64_t>(slots_.size()) >= options_.jobs) return;
    const std::vector<size_t> ready = candidates(scanner_.states(), rules_.stop, rules_.objective);
    if (ready.empty() && more_to_ask()) ask_source();
    for (const size_t index : ready) {
      const auto wait = not_before_.find(index);
      if (wait != not_before_.end() && Clock::now() < wait->second) continue;
      start(index);
      return;  // what it begins with is now taken: look again
    }
  }

  bool more_to_ask() const {
    return source_ != nullptr && !source_->over() && static_cast<int64_t>(trials_.size()) < source_->total();
  }

  /// The list is read again: another process may have added to it before this one held the folder.
  void begin_source() {
    if (source_ == nullptr) return;
    trials_ = store_.trials();
    steps_.resize(trials_.size(), 0);
    scanner_.look();
    std::vector<std::optional<Outcome>> outcomes;
    for (size_t i = 0; i < trials_.size(); ++i) outcomes.push_back(scanner_.outcome(i));
    for (const auto& outcome : outcomes) told_.push_back(outcome.has_value());
    source_->begin(trials_, outcomes);
  }

  void ask_source() {
    const std::optional<AskedTrial> asked = source_->next();
    if (!asked) return;
    const Trial& trial = asked->trial;
    if (!asked->fault.empty()) {
      // Settled before it is in the list: nobody is to run it.
      if (const std::optional<LockFile> claim = store_.claim(trial.id))
        store_.finish(trial.id, {.state = "failed", .cause = asked->fault, .values = {}});
      options_.say(fmt::format("{} ({}) cannot be run: {}", trial.id, label_of(trial), asked->fault));
    }
    trials_.push_back(trial);
    store_.write_list(trials_);
    steps_.push_back(0);
    told_.push_back(false);
    scanner_.look(taken());
  }

  void tell_source() {
    for (size_t i = 0; i < told_.size(); ++i)
      if (!told_[i] && scanner_.outcome(i)) {
        source_->tell(i, trials_[i], *scanner_.outcome(i));
        told_[i] = true;
      }
  }

  void start(size_t index) {
    const Trial& trial = trials_[index];
    int64_t number = 0;
    while (std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.number == number; })) ++number;
    const int64_t starts = history_of(index).starts;
    try {
      slots_.push_back({index, number, Child(options_.worker(trial, number), store_.log(trial.id), options_.signals), starts,
                        store_.last_sign_ns(trial.id)});
    } catch (const Error& error) {
      count_failure(index, false, "failed", error.what());
    }
  }

  History history_of(size_t index) const {
    std::ifstream in(store_.folder() / "state" / (trials_[index].id + ".claim"), std::ios::binary);
    return read_history({std::istreambuf_iterator<char>(in), {}});
  }

  void reap() {
    for (size_t i = 0; i < slots_.size();) {
      const std::optional<ChildEnd> end = slots_[i].child.poll();
      if (!end) {
        ++i;
        continue;
      }
      ended(slots_[i], *end);
      slots_.erase(slots_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  /// A worker says itself how its trial went. What it could not say is said here: that it never got so far, or crashed.
  void ended(const Slot& slot, const ChildEnd& end) {
    const Trial& trial = trials_[slot.trial];
    if (const auto outcome = store_.outcome(trial.id)) {
      if (outcome->state == "failed") options_.say(fmt::format("{} ({}) failed: {}", trial.id, label_of(trial), outcome->cause));
      return;
    }
    const History before = history_of(slot.trial);
    if (before.last_end == "no-space") return stop_for_space(slot.trial);
    const bool begun = before.starts != slot.starts, well = end.signal == 0 && end.exit_code == 0;
    if (slot.ended_by_us && begun)
      return count_failure(slot.trial, begun, "stalled", fmt::format("no sign of life for {} s", rules_.workers.stall_after_s));
    const int by_shell = end.exit_code - 128;  // a shell's word for a signal
    const bool by_signal = end.signal == SIGKILL || end.signal == SIGTERM;
    const bool by_signal_inside = begun && (by_shell == SIGKILL || by_shell == SIGTERM);
    const bool killed = by_signal_inside || (!slot.ended_by_us && by_signal) || (stopping_ && !begun);
    if (well) not_before_[slot.trial] = Clock::now() + kAgain;
    const bool calm = well || (end.signal == 0 && end.exit_code == 3);
    idle_[slot.trial] = calm && !begun ? idle_[slot.trial] + 1 : 0;
    const bool fault = !calm && (!begun || before.last_end.empty());
    if (killed && begun && !stopping_ && before.last_end.empty()) return note_killed(slot.trial);
    if (killed || !(fault || idle_[slot.trial] >= kMostIdle)) return;
    count_failure(slot.trial, begun, "failed",
                  fmt::format("its worker ended with {}: {}", end.text(), last_line(store_.log(trial.id))));
  }

  /// No failure of the trial's: it goes on. But one that is killed again and again is given up by whoever claims it next.
  void note_killed(size_t index) {
    if (std::optional<LockFile> claim = store_.claim(trials_[index].id)) claim->append(end_line("killed", "", 0));
  }

  /// Writes down the end of an attempt for a worker that could not; `how`: failed | stalled. Settles the trial after its retries.
  void count_failure(size_t index, bool begun, const char* how, const std::string& cause) {
    const Trial& trial = trials_[index];
    std::optional<LockFile> claim = store_.claim(trial.id);
    if (!claim) return;  // another has taken it up already, or it is done
    const History before = read_history(claim->text());
    if (!begun) claim->append(start_line(store_.standing(trial.id)));
    claim->append(end_line(how, cause, 0));
    options_.say(fmt::format("{} ({}): {}", trial.id, label_of(trial), cause));
    if (before.failures >= rules_.workers.retries) settle(index, {.state = "failed", .cause = cause, .values = {}});
  }

  /// A full disk is no fault of a trial: nothing is counted, and the same command goes on once there is room.
  void stop_for_space(size_t index) {
    if (!stopped_)
      options_.say("the sweep stops, and the same command goes on once there is room: " +
                   last_line(store_.log(trials_[index].id)));
    stopped_ = true;
  }

  /// Gives a claimed trial its outcome, with what its run and its claim say.
  void settle(size_t index, Outcome outcome) const {
    const RunNumbers numbers = read_run_numbers(store_.trial(trials_[index].id) / "metrics.jsonl", "");
    const History history = history_of(index);
    outcome.steps = numbers.steps, outcome.values = numbers.values;
    outcome.starts = history.starts, outcome.failures = history.failures, outcome.seconds = history.seconds;
    store_.finish(trials_[index].id, outcome);
  }

  void end_stalled() {
    for (Slot& slot : slots_) {
      const Trial& trial = trials_[slot.trial];
      const int64_t sign = store_.last_sign_ns(trial.id);
      if (sign != slot.sign) slot.sign = sign, slot.sign_seen = Clock::now();
      const double silent = Seconds(Clock::now() - slot.sign_seen).count();
      if (silent < rules_.workers.stall_after_s || slot.ended_by_us) continue;
      options_.say(fmt::format("{} ({}): no sign of life for {:.0f} s; its worker is ended and the trial taken up again",
                               trial.id, label_of(trial), silent));
      slot.ended_by_us = true;
      slot.child.send(SIGKILL);
    }
  }

  int64_t to_ask() const {
    return source_ == nullptr || source_->over() ? 0
                                                 : std::max<int64_t>(source_->total() - static_cast<int64_t>(trials_.size()), 0);
  }

  uint64_t steps_left() {
    uint64_t left = 0;
    for (size_t i = 0; i < trials_.size(); ++i) {
      steps_[i] =
          scanner_.states()[i].settled ? trials_[i].planned_steps : steps_of(store_.trial(trials_[i].id) / "metrics.jsonl");
      left += static_cast<uint64_t>(std::max<int64_t>(trials_[i].planned_steps - steps_[i], 0));
    }
    if (source_ != nullptr) left += static_cast<uint64_t>(to_ask() * source_->planned_steps());
    return left;
  }

  void show() {
    if (Clock::now() - shown_ < kBetweenSteps) return;
    shown_ = Clock::now();
    int64_t more = 0;
    for (size_t i = 0; i < trials_.size(); ++i) {
      const bool settled = scanner_.states()[i].settled;
      if (!settled && !scanner_.states()[i].claimed) continue;
      const int64_t now = settled ? trials_[i].planned_steps : steps_of(store_.trial(trials_[i].id) / "metrics.jsonl");
      if (now > steps_[i]) more += now - steps_[i], steps_[i] = now;
    }
    const SweepEnd so_far = end();
    progress_->add(static_cast<uint64_t>(more),
                   fmt::format("{} of {} trials done{}{}, {} running", so_far.complete + so_far.pruned + so_far.failed,
                               static_cast<int64_t>(trials_.size()) + to_ask(),
                               so_far.pruned > 0 ? fmt::format(", {} pruned", so_far.pruned) : "",
                               so_far.failed > 0 ? fmt::format(", {} failed", so_far.failed) : "", running()));
  }

  size_t running() const {
    if (options_.elsewhere == nullptr) return slots_.size();
    const auto& states = scanner_.states();
    return static_cast<size_t>(
        std::count_if(states.begin(), states.end(), [](const TrialState& s) { return s.claimed && !s.settled; }));
  }

  void tables(bool now) {
    const SweepEnd so_far = end();
    const int64_t done = so_far.complete + so_far.pruned + so_far.failed;
    const auto begin = Clock::now();
    const bool page_late = options_.report && paged_ != done && begin >= page_due_;
    if (!now && ((done == tabled_ && !page_late) || begin - tables_written_ < kBetweenTables)) return;
    tabled_ = done;
    const Results results = collect(store_);
    write_tables(results);
    if (options_.report && (now || page_late)) write_page(results, done);
    tables_written_ = Clock::now();
  }

  void write_page(const Results& results, int64_t done) {
    const auto begin = Clock::now();
    options_.report(results);
    paged_ = done;
    page_due_ = Clock::now() + kPageShare * (Clock::now() - begin);
  }

  void rest() const {
    const Clock::duration least = options_.elsewhere != nullptr ? Clock::duration(kRestElsewhere) : Clock::duration(kRest);
    std::this_thread::sleep_for(std::max(least, 4 * look_took_));
  }

  void stop_workers() {
    stopping_ = true;
    if (options_.elsewhere != nullptr && stopped_) options_.elsewhere->cancel();
    for (const Slot& slot : slots_) slot.child.send(SIGTERM);
    const auto begin = Clock::now();
    while (!slots_.empty() && Clock::now() - begin < kForCheckpoints) {
      reap();
      std::this_thread::sleep_for(kRest);
    }
    slots_.clear();  // kills what is left
  }

  [[noreturn]] void stop_for_the_user() {
    stop_workers();
    progress_.reset();
    tables(true);
    if (options_.elsewhere != nullptr)
      throw Interrupted(fmt::format("[{}] not looked after any more; {}; look again: the same command", store_.folder().string(),
                                    options_.elsewhere->when_left()));
    throw Interrupted(fmt::format("[{}] stopped; the same command goes on from there", store_.folder().string()));
  }

  /// Trials that wait at a rung which they will not leave any more.
  void settle_waiting() {
    if (stopped_ || rules_.stop.use != "asha") return;
    const std::vector<TrialState> states = scanner_.look();
    for (size_t i = 0; i < trials_.size(); ++i) {
      if (states[i].settled) continue;
      const std::optional<LockFile> claim = store_.claim(trials_[i].id);
      if (!claim) continue;
      Outcome outcome{.state = "pruned", .cause = "", .values = {}};
      may_reach(i, states, rules_.stop, rules_.objective, &outcome.cause);
      settle(i, outcome);
    }
    scanner_.look();
  }

  /// The teacher's values are large and can be had again. Stages that trials have in common stay: --extend may add another that
  /// begins with them.
  void remove_teacher_values() const {
    std::error_code fault;
    if (end().left == 0) fs::remove_all(store_.teacher_values(), fault);
  }

  SweepEnd end() const {
    SweepEnd end{.stopped = stopped_, .search_failed = source_ != nullptr && source_->failed()};
    for (size_t i = 0; i < trials_.size(); ++i) {
      const std::optional<Outcome>& outcome = scanner_.outcome(i);
      if (!outcome)
        ++end.left;
      else
        ++(outcome->state == "complete" ? end.complete : outcome->state == "pruned" ? end.pruned : end.failed);
    }
    return end;
  }

  const Store& store_;
  std::vector<Trial> trials_;  // grows where there is a source
  const Rules& rules_;
  const ControlOptions& options_;
  TrialSource* source_;
  std::vector<bool> told_;  // by trial, that the source knows how it ended; empty without one
  Scanner scanner_;
  std::vector<Slot> slots_;
  std::map<size_t, Clock::time_point> not_before_;
  std::map<size_t, int64_t> idle_;
  std::set<size_t> said_;
  std::vector<int64_t> steps_;
  std::unique_ptr<Progress> progress_;
  Clock::time_point shown_{}, tables_written_{}, page_due_{};
  Clock::duration look_took_{};
  int64_t tabled_ = -1, paged_ = -1;  // trials that were done when the tables, the page were written
  bool stopped_ = false, stopping_ = false;
  bool abandoned_ = false;  // the queue has ended with trials left
};

}  // namespace

SweepEnd control(const Store& store, const std::vector<Trial>& trials, const Rules& rules, const ControlOptions& options) {
  return Controller(store, trials, rules, options).run();
}

}  // namespace espalier::sweep
