#include "core/train/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/base/memory_limit.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/data/prefetch.h"
#include "core/train/fingerprint.h"
#include "core/train/make_losses.h"
#include "core/train/needs.h"
#include "core/train/open_data.h"
#include "core/train/preview.h"
#include "core/train/run_folder.h"
#include "core/train/stage_gate.h"
#include "core/train/stage_pruners.h"
#include "core/train/trainer.h"
#include "core/train/write_run.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

constexpr int kBatchesAhead = 2;
constexpr const char* kRounding = "the rounding of the teacher's values";  // an input of runs that round them

class Run {
 public:
  Run(const Recipe& recipe, const RunOptions& options, const Services& services)
      : recipe_(recipe), services_(services), folder_(options.out, recipe, options.resume), checkpoints_(folder_.path()) {}

  void run() {
    if (folder_.finished()) return say(folder_.path().string() + ": this run is complete");
    models_ = open_models(recipe_);
    for (const std::string& note : models_.notes) say(note);
    std::unique_ptr<data::Source> source = open_data(recipe_);
    check_data_fits(recipe_, models_, *source);
    source_ = data::prefetch(std::move(source), kBatchesAhead);
    calibrate_ = calibrate_on_data(recipe_, services_.backend);
    losses_ = make_losses(recipe_, services_, *source_);
    run_metrics_ = std::make_unique<RunMetrics>(recipe_, services_, *source_);
    const std::vector<StagePreview> stages = preview_stages(recipe_, models_, services_, losses_, *source_, calibrate_);
    const Needs needs = needs_of(recipe_, models_, stages, services_, losses_, *source_);
    require_memory(needs, services_.backend);
    folder_.begin();
    begin(needs);
    if (services_.teacher_values) values_ = std::make_shared<TeacherFolder>(*services_.teacher_values, services_.say);
    metrics_ = std::make_unique<Metrics>(folder_.path(), state_.mark);
    try {
      while (state_.position.stage < static_cast<int64_t>(recipe_.stages.size())) stage();
      trainer_.reset();  // its memory is free for the report
      write_run({recipe_, services_, models_, *student_, state_, *source_, folder_.path()});
    } catch (const Interrupted&) {
      checkpoint();
      throw Interrupted(fmt::format("[{}] stopped before step {}; the same command with --resume goes on from there",
                                    folder_.path().string(), state_.position.step));
    } catch (const Halted&) {
      checkpoint();
      throw;
    }
    say(fmt::format("{}: {} steps; the student is in {}", folder_.path().string(), state_.position.step,
                    (folder_.path() / "student").string()));
  }

 private:
  void say(const std::string& line) const { services_.say(line); }

  /// The newest good checkpoint, or the start.
  void begin(const Needs& needs) {
    std::vector<std::string> notes;
    const std::optional<fs::path> newest = checkpoints_.newest_good(notes, true);
    std::map<std::string, std::string> inputs = fingerprints_of(recipe_, models_);
    if (services_.teacher_values && services_.teacher_values->dtype != DType::kF32)
      inputs.emplace(kRounding, name_of(services_.teacher_values->dtype));
    for (const std::string& note : notes) say(note);
    const bool with_ema = recipe_.train.ema_decay.has_value();
    if (newest) {
      take(*newest);
      require_same_inputs(inputs);
      say(fmt::format("{}: going on from step {}", folder_.path().string(), state_.position.step));
    } else {
      student_ = std::make_unique<Student>(make_structure(models_.base, models_.start), models_.weights, recipe_.train.optimizer,
                                           with_ema);
      state_.inputs = inputs;
    }
    const uint64_t there = checkpoints_.bytes();
    if (needs.disk_bytes > there) require_free_space(folder_.path(), needs.disk_bytes - there);
  }

  /// Teachers of stages that are still to come may be others: nothing of them is in the run yet, which may have its first stages
  /// from another one.
  void require_same_inputs(const std::map<std::string, std::string>& inputs) {
    std::vector<std::string> changed;
    for (size_t i = static_cast<size_t>(state_.position.stage) + (state_.position.pruned ? 1 : 0); i < recipe_.stages.size(); ++i)
      state_.inputs.erase(name_of_stage_teacher(i));
    for (const auto& [name, print] : state_.inputs)
      if (const auto at = inputs.find(name); at == inputs.end() || at->second != print) changed.push_back(name);
    if (inputs.contains(kRounding) && !state_.inputs.contains(kRounding)) changed.push_back(kRounding);
    if (!changed.empty())
      throw UserError(
          fmt::format("[{}] other inputs than the run began with: {}; a run goes on with its own, so bring them back "
                      "or begin a new one",
                      folder_.path().string(), join(changed, ", ")));
    state_.inputs = inputs;
  }

  void take(const fs::path& checkpoint) {
    trainer_.reset();  // what is taken needs their memory
    student_.reset();
    LoadedCheckpoint loaded =
        read_checkpoint(checkpoint, models_.base, recipe_.train.optimizer, recipe_.train.ema_decay.has_value());
    student_ = std::move(loaded.student);
    state_ = std::move(loaded.state);
  }

  void checkpoint() {
    metrics_->sync();
    state_.mark = metrics_->mark();
    const fs::path folder = checkpoints_.of(state_.position);
    if (!fs::exists(folder)) write_checkpoint(folder, *student_, state_);
    checkpoints_.rotate(recipe_.train.keep_checkpoints);
  }

  // Prune, train, judge: one attempt at the stage that the position names.
  void stage() {
    const StageSpec& stage = recipe_.stages[static_cast<size_t>(state_.position.stage)];
    if (!state_.position.pruned && !prune(stage)) return next_stage("");
    open_trainer();
    train(stage);
    NamedNumbers numbers = validate();
    if (const std::string tally = values_ ? values_->tally() : ""; !tally.empty()) say(tally);
    numbers.insert(numbers.end(), state_.last_row.begin(), state_.last_row.end());
    judge(stage, numbers);
  }

  /// On the held-out rows, with a row of metrics, once for each step: a stop in the middle repeats it.
  NamedNumbers validate() {
    NamedNumbers row = trainer_->validate(state_.position);
    if (!row.empty() && !run_metrics_->empty()) {
      run_metrics_->add_pictures(*student_, *teacher_, static_cast<size_t>(state_.position.stage), *source_);
      const NamedNumbers measured = run_metrics_->numbers();
      row.insert(row.end(), measured.begin(), measured.end());
    }
    if (!row.empty() && state_.validated != state_.position.step) metrics_->row(state_.position.step, row);
    state_.validated = state_.position.step;
    if (!row.empty()) state_.last_validation = row;
    if (!row.empty() && services_.watcher.go_on && !services_.watcher.go_on(state_.position.step, row))
      throw Halted(fmt::format("[{}] halted at step {}", folder_.path().string(), state_.position.step));
    return row;
  }

  /// False when the failed attempts have halved the removals to nothing.
  bool prune(const StageSpec& stage) {
    Position& at = state_.position;
    StageRecord record{at.stage, at.attempt, at.step, {}, stage.until ? gate_text(*stage.until) : "", {}, ""};
    const fs::path before = checkpoints_.of_stage(at.stage);
    if (stage.until && stage.on_fail == OnFail::kRollback && at.attempt == 0 && !fs::exists(before))
      write_checkpoint(before, *student_, state_);
    if (!stage.prune && at.attempt > 0) return leave_out(std::move(record));
    if (stage.prune) {
      StageQuestion question{static_cast<size_t>(at.stage), at.attempt, &student_->structure().tree, student_->weights()};
      question.numbers = state_.last_row;
      question.numbers.insert(question.numbers.end(), state_.last_validation.begin(), state_.last_validation.end());
      StageRemovals removals = stage_removals(recipe_, services_, calibrate_, question, state_.pruner);
      const prune::RemovalPlan& plan = removals.plan;
      state_.pruner = removals.state;
      keep_artifacts(removals.artifacts);
      if (plan.removals.empty() && at.attempt > 0) return leave_out(std::move(record));
      for (const prune::Removal& removal : plan.removals) record.removed.push_back(removal.path);
      if (!plan.removals.empty()) {
        const int64_t parameters = student_->parameters();
        trainer_.reset();
        release_freed_memory();  // both students are there for a moment
        student_ = student_->pruned(models_.base, plan, recipe_.train.optimizer);
        release_freed_memory();
        say(fmt::format("stage {}: {} blocks removed, {} of {} parameters left", at.stage, plan.removals.size(),
                        with_commas(student_->parameters()), with_commas(parameters)));
      }
    }
    state_.history.push_back(std::move(record));
    at.pruned = true;
    return true;
  }

  /// What a pruner handed over, in RUN/artifacts/stage-K, each file whole or as it was.
  void keep_artifacts(const std::map<std::string, std::string>& artifacts) const {
    const fs::path to = folder_.path() / "artifacts" / fmt::format("stage-{}", state_.position.stage);
    for (const auto& [name, bytes] : artifacts) {
      fs::create_directories(to);
      write_text(to / name, bytes);
    }
  }

  bool leave_out(StageRecord record) {
    record.outcome = "left out: its gate failed, and nothing is left to remove";
    say(fmt::format("stage {}: {}", record.stage, record.outcome));
    state_.history.push_back(std::move(record));
    return false;
  }

  void open_trainer() {
    if (trainer_ != nullptr && trainer_stage_ == state_.position.stage) return;
    trainer_.reset();
    teacher_ = teacher_of(recipe_, models_, static_cast<size_t>(state_.position.stage));
    Teacher teacher{nullptr, std::make_shared<exec::SharedParams>(), recipe_.train.teacher_mapped};
    if (teacher_) teacher.weights = teacher_->weights;
    if (values_ != nullptr) {
      const auto stage = static_cast<size_t>(state_.position.stage);
      teacher.shared = values_;
      teacher.shared_of_training = teacher_values_text(recipe_, state_.inputs, stage, false);
      teacher.shared_of_held_out = teacher_values_text(recipe_, state_.inputs, stage, true);
    }
    trainer_ = std::make_unique<Trainer>(recipe_, services_, losses_, static_cast<size_t>(state_.position.stage), *source_,
                                         *student_, teacher_ ? &teacher_->tree : nullptr, teacher, run_metrics_.get());
    trainer_stage_ = state_.position.stage;
    trainer_->terms();
    for (const std::string& note : trainer_->notes()) say(note);
  }

  void train(const StageSpec& stage) {
    Position& at = state_.position;
    const TrainSpec& spec = recipe_.train;
    Progress progress(stage_name(), static_cast<uint64_t>(std::max<int64_t>(stage.steps - at.stage_step, 0)));
    while (at.stage_step < stage.steps) {
      check_interrupt();
      // Before the step, not after the last one: whoever resumes here finds what is due.
      if (spec.validate_every > 0 && at.step % spec.validate_every == 0 && at.stage_step > 0) validate();
      state_.last_row = trainer_->step(at, metrics_.get());
      ++at.step, ++at.planned, ++at.stage_step;
      progress.add(1, step_text());
      if (at.step % spec.checkpoint_every == 0 && at.stage_step < stage.steps) checkpoint();
    }
  }

  void judge(const StageSpec& stage, const NamedNumbers& numbers) {
    StageRecord& record = state_.history.back();
    if (!stage.until) return next_stage("done");
    const std::optional<float> value = find(numbers, stage.until->metric);
    if (!value) throw_no_metric(*stage.until, numbers);
    record.value = value;
    const std::string said = fmt::format("stage {}: {} is {:.6g}", state_.position.stage, gate_text(*stage.until), *value);
    if (meets(*stage.until, *value)) return say(said + ": met"), next_stage("met");
    if (stage.on_fail == OnFail::kContinue) return say(said + ": not met, going on"), next_stage("not met: went on");
    if (stage.on_fail == OnFail::kStop) {
      record.outcome = "not met: stopped";
      checkpoint();
      throw Error(said + ", which is not met, and on_fail is \"stop\"; the state is in " +
                  checkpoints_.of(state_.position).string());
    }
    say(said + ": not met; going back and removing half as much");
    roll_back();
  }

  // Everything but the count of steps and what was written goes back to before the stage, bit for bit.
  void roll_back() {
    std::vector<StageRecord> history = std::move(state_.history);
    history.back().outcome = "not met: rolled back";
    const int64_t step = state_.position.step, attempt = state_.position.attempt;
    take(checkpoints_.of_stage(state_.position.stage));
    state_.position.step = step;
    state_.position.attempt = attempt + 1;
    state_.history = std::move(history);
    checkpoint();
  }

  void next_stage(const std::string& outcome) {
    Position& at = state_.position;
    if (!state_.history.empty() && state_.history.back().stage == at.stage && state_.history.back().outcome.empty())
      state_.history.back().outcome = outcome;
    const fs::path before = checkpoints_.of_stage(at.stage);
    ++at.stage;
    at.stage_step = at.attempt = 0;
    at.pruned = false;
    checkpoint();
    if (services_.watcher.stage_done) services_.watcher.stage_done(static_cast<size_t>(at.stage), checkpoints_.of(at));
    if (fs::exists(before)) checkpoints_.remove(before);
  }

  std::string stage_name() const {
    if (recipe_.stages.size() == 1) return "distilling";
    return fmt::format("stage {} of {}", state_.position.stage + 1, recipe_.stages.size());
  }

  std::string step_text() const {
    const TimeSplit& t = trainer_->time();
    std::string text =
        fmt::format("loss {:.4g}  {:.2f} s/step:", state_.last_row[0].second, t.all / 1000 / static_cast<double>(t.steps));
    const double run = t.teacher + t.student + t.backward;
    for (const auto& [name, ms] : {std::pair{"teacher", t.teacher},
                                   {"student", t.student},
                                   {"backward", t.backward},
                                   {"update", t.update},
                                   {"data", t.data},
                                   {"other", t.all - run - t.update - t.data}})
      if (ms > 0.005 * t.all) text += fmt::format(" {} {:.0f}%", name, 100 * ms / t.all);
    return text;
  }

  const Recipe& recipe_;
  const Services& services_;
  RunFolder folder_;
  CheckpointFolder checkpoints_;
  Models models_;
  Losses losses_;
  std::unique_ptr<data::Source> source_;
  prune::Calibrate calibrate_;
  std::unique_ptr<RunMetrics> run_metrics_;
  std::unique_ptr<Student> student_;
  std::optional<model::Model> teacher_;    // of the current stage
  std::shared_ptr<TeacherFolder> values_;  // what runs share of the teacher; also the trainer's
  RunState state_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Trainer> trainer_;  // of the current student
  int64_t trainer_stage_ = -1;
};

}  // namespace

void run_recipe(const Recipe& recipe, const RunOptions& options, const Services& services) {
  const InterruptGuard guard;
  Run(recipe, options, services).run();
}

}  // namespace espalier::train
