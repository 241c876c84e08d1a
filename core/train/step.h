#pragma once
// One training step as executables: forward and backward, the norms of the gradients, the update. They run on the student's own
// buffers, which they read as inputs of their graphs.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/data/source.h"
#include "core/distill/joint_graph.h"
#include "core/lower/backend.h"
#include "core/train/bound_executor.h"
#include "core/train/joint.h"
#include "core/train/student.h"
#include "core/train/teacher_step.h"

namespace espalier::train {

/// Where the time of a forward and backward run went, in ms. What is computed again for the backward pass counts as backward;
/// `files` is reading and writing what runs share of the teacher. On a device whose calls are not timed one by one all of a
/// graph's time counts as the student's.
struct StepTime {
  double teacher = 0, student = 0, backward = 0, files = 0;
};

/// What a batch gave.
struct StepResult {
  float total = 0;
  std::vector<float> terms, logged;
  exec::FloatTensors predictions = {};  // output, target, teacher_output, of a graph that has them
};

/// The joint graph of one bucket, ready to run: with gradients, or for validation without.
class BatchStep {
 public:
  /// `joint` as build_joint_graph gives it with weights_are_inputs; with `values`, the student's side of the cut that they are
  /// of, and several of these may use one `values`. Without `training` options: no gradients.
  BatchStep(const distill::JointGraph& joint, const std::optional<TrainingOptions>& training, Student& student,
            const Teacher& teacher, const std::shared_ptr<lower::Backend>& backend, std::shared_ptr<TeacherStep> values = {});

  /// `weights`: one for each term; `name` is where `batch` comes from. Errors: Interrupted, those of TeacherStep::make; nothing
  /// of the student but its gradients has changed then.
  StepResult run(const BatchName& name, const data::Batch& batch, const std::vector<float>& alpha_bars,
                 const std::vector<float>& weights);
  StepTime last_time() const;
  const lower::CallList& list() const { return bound_->executor().list(); }

 private:
  std::unique_ptr<BoundExecutor> bound_;
  std::shared_ptr<TeacherStep> values_;  // null: the graph has the teacher in it
  size_t terms_ = 0, logged_ = 0;
  std::map<std::string, Shape> predictions_;
  double run_ms_ = 0;
};

/// What an update is made of, for tensors of these names and shapes.
struct UpdateGraphs {
  Graph norms, update;
};
UpdateGraphs update_graphs(const std::vector<model::TensorSpec>& tensors, const OptimizerSpec& optimizer, bool with_ema);

/// Gradient norms and the optimizer's step.
class Update {
 public:
  Update(Student& student, const OptimizerSpec& optimizer, const std::shared_ptr<lower::Backend>& backend);
  /// Squared L2 norm of each tensor's gradient, in the student's order.
  const std::vector<float>& squared_norms();
  /// Runs whole: it does not stop half-way when the user interrupts.
  void step(const std::array<float, 4>& hyper, float ema_decay);

 private:
  std::unique_ptr<BoundExecutor> norms_, step_;
  std::vector<float> squares_;
  std::array<float, 4> hyper_{};
  float decay_ = 0;
};

}  // namespace espalier::train
