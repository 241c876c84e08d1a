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
#include "core/exec/executor.h"
#include "core/lower/backend.h"
#include "core/train/joint.h"
#include "core/train/student.h"

namespace espalier::train {

/// Runs `list` with buffers by name: inputs by their label, outputs by their name.
class BoundExecutor {
 public:
  BoundExecutor(lower::CallList list, const std::shared_ptr<lower::Backend>& backend, const io::TensorSourcePtr& weights,
                const exec::ExecOptions& options);
  /// Errors: InternalError for a name that the graph does not have, unless `optional`.
  void input(const std::string& name, const void* data, bool optional = false);
  void output(const std::string& name, void* data);
  /// Errors: InternalError when something is not bound.
  void run();
  const exec::Executor& executor() const { return *executor_; }

 private:
  std::unique_ptr<exec::Executor> executor_;
  std::map<std::string, size_t> input_index_, output_index_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
};

/// The teacher's weights, shared by every executor that runs it. Both null without a teacher.
struct Teacher {
  io::TensorSourcePtr weights;
  std::shared_ptr<exec::SharedParams> params;
  bool mapped = false;  // no packed copies: less memory, slower
};

/// Where the time of a forward and backward run went, in ms. What is computed again for the backward pass counts as backward.
struct StepTime {
  double teacher = 0, student = 0, backward = 0;
};

/// What a batch gave.
struct StepResult {
  float total = 0;
  std::vector<float> terms;
};

/// The joint graph of one bucket, ready to run: with gradients, or for validation without.
class BatchStep {
 public:
  /// `joint` as build_joint_graph gives it with weights_are_inputs. Without `training` options: no gradients.
  BatchStep(const distill::JointGraph& joint, const std::optional<TrainingOptions>& training, Student& student,
            const Teacher& teacher, const std::shared_ptr<lower::Backend>& backend);

  /// `weights`: one for each term. Errors: Interrupted; nothing of the student but its gradients has changed then.
  StepResult run(const data::Batch& batch, const std::vector<float>& alpha_bars, const std::vector<float>& weights);
  StepTime last_time() const;
  const lower::CallList& list() const { return bound_->executor().list(); }

 private:
  std::unique_ptr<BoundExecutor> bound_;
  size_t terms_ = 0;
};

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
