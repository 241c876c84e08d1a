#pragma once
// The student in training: its structure, where its tensors came from, and every number that a step changes.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/distill/loss.h"
#include "core/io/tensor_source.h"
#include "core/model/model.h"
#include "core/prune/student_files.h"
#include "core/train/buffer.h"
#include "core/train/optimizer.h"

namespace espalier::train {

/// One tensor with all that belongs to it. Weights are f32 masters whatever the files hold.
struct TrainedTensor {
  std::string name;
  Buffer weight, gradient;
  std::vector<Buffer> slots;    // of the optimizer
  std::unique_ptr<Buffer> ema;  // null without EMA
  bool of_loss = false;         // a parameter of a loss: trained and kept in checkpoints, no part of the student that is written
};

/// Where a run's removals start from.
struct Base {
  model::BlockTree tree;                    // the teacher's, or that of the student that a recipe starts from
  std::optional<prune::OriginMap> origins;  // its tensors → the teacher's; nullopt where it is not known
};

/// Where the student stands: what `plan` leaves of a base.
struct Structure {
  prune::RemovalPlan plan;                  // on the base
  model::BlockTree tree;                    // the student's own; every origin its own path
  std::optional<prune::OriginMap> origins;  // student tensor → teacher tensor
};
Structure make_structure(const Base& base, const prune::RemovalPlan& plan);

class Student {
 public:
  /// Takes over `structure`, with weights read from `weights` under their own names, or, where `weights` is null, left zero.
  Student(Structure structure, const io::TensorSourcePtr& weights, const OptimizerSpec& optimizer, bool with_ema);

  const Structure& structure() const { return structure_; }
  std::vector<TrainedTensor>& tensors() { return tensors_; }
  const std::vector<TrainedTensor>& tensors() const { return tensors_; }
  /// Makes the parameters of losses exactly these: what is there under the same name and type stays, new ones begin as they say,
  /// drawn by `seed` and name.
  void set_loss_params(const std::vector<distill::LossParam>& params, uint64_t seed, const OptimizerSpec& optimizer);
  /// Bytes of everything above.
  uint64_t state_bytes() const;
  int64_t parameters() const;

  /// The student that `step` (paths of this one) leaves: surviving tensors, and the losses' parameters, take their weights, slots
  /// and averages along.
  std::unique_ptr<Student> pruned(const Base& base, const prune::RemovalPlan& step, const OptimizerSpec& optimizer) const;

  /// Weights (or averages) under their names, pointing into this object.
  io::TensorSourcePtr weights(bool ema = false) const;

 private:
  Structure structure_;
  std::vector<TrainedTensor> tensors_;  // the student's own first
  bool with_ema_ = false;
};

/// Bytes that a student of `tree` takes in training: weights, gradients, optimizer, average.
uint64_t training_bytes(const model::BlockTree& tree, const OptimizerSpec& optimizer, bool with_ema);

/// `tree` with every origin its own path: what plans on it name.
model::BlockTree own_tree(const model::BlockTree& tree);

}  // namespace espalier::train
