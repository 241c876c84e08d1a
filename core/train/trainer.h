#pragma once
// Steps of one student against one teacher: batch, forward and backward, clip, log, update.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/data/source.h"
#include "core/train/checkpoint.h"
#include "core/train/joint.h"
#include "core/train/loss_weights.h"
#include "core/train/metric_sums.h"
#include "core/train/metrics.h"
#include "core/train/models.h"
#include "core/train/services.h"
#include "core/train/step.h"

namespace espalier::train {

/// Where the time of steps went, in ms, summed.
struct TimeSplit {
  double data = 0, teacher = 0, student = 0, backward = 0, update = 0, all = 0;
  int64_t steps = 0;
};

class Trainer {
 public:
  /// Builds nothing yet: a bucket's executables are made at its first batch. `student` and `source` must outlive it;
  /// `teacher_tree` is null without a teacher.
  Trainer(const Recipe& recipe, const Services& services, const Losses& losses, size_t stage, data::Source& source,
          Student& student, const model::BlockTree* teacher_tree, Teacher teacher, RunMetrics* run_metrics = nullptr);
  ~Trainer();

  /// One update, logged (where `metrics` is given) before it is made: a row step, total, terms, grad_norm.
  /// Errors: Error naming the first layer when something is not finite, with the student as it was; Interrupted likewise.
  NamedNumbers step(const Position& at, Metrics* metrics);
  /// Every term and logged value over the held-out batches, as val/<key>, val/total, and what `run_metrics` makes of the
  /// predictions. Empty without such batches.
  NamedNumbers validate(const Position& at);

  const std::vector<distill::JointTerm>& terms();
  const TimeSplit& time() const { return time_; }
  /// Lines about pairs that were left out.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Bucket;
  BatchStep& training_step(size_t bucket) { return made(training_[bucket], bucket, training_options(recipe_.train)); }
  BatchStep& validation_step(size_t bucket) { return made(validation_[bucket], bucket, std::nullopt); }
  BatchStep& made(std::unique_ptr<BatchStep>& step, size_t bucket, const std::optional<TrainingOptions>& options);
  void clear_gradients();
  void require_same_params(const distill::JointGraph& joint, size_t bucket);
  const std::vector<float>& weights_at(int64_t planned);
  [[noreturn]] void stop(const Position& at, const std::string& what, const data::Batch& batch) const;

  const Recipe& recipe_;
  const Services& services_;
  const Losses& losses_;
  size_t stage_;
  data::Source& source_;
  Student& student_;
  const model::BlockTree* teacher_tree_;
  Teacher teacher_;
  RunMetrics* run_metrics_;  // null: none
  std::vector<float> alpha_bars_;
  std::map<size_t, std::unique_ptr<BatchStep>> training_, validation_;
  std::map<size_t, std::shared_ptr<TeacherStep>> values_;  // where the teacher's values are shared: of both
  std::vector<distill::JointTerm> terms_, logged_;
  std::optional<std::map<std::string, TensorType>> params_;  // of losses, of the first step that was made
  std::unique_ptr<LossWeights> loss_weights_;
  std::vector<float> weights_now_;
  std::unique_ptr<Update> update_;
  std::unique_ptr<lower::DeviceMemory> zeros_;  // on a device with memory of its own: what gradients are cleared with
  TimeSplit time_;
  std::vector<std::string> notes_;
};

}  // namespace espalier::train
