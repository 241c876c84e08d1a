#pragma once
// The teacher's forward pass as an executable of its own, made only where a batch is not in the folder that runs share.

#include <memory>
#include <string>

#include "core/distill/teacher_cut.h"
#include "core/train/bound_executor.h"
#include "core/train/teacher_values.h"

namespace espalier::train {

/// Makes and holds the teacher's values of one batch at a time; one for each bucket.
class TeacherStep {
 public:
  /// `cut` as of a joint graph of the teacher whose weights these are; `teacher.shared` must be there.
  TeacherStep(const distill::TeacherCut& cut, const Teacher& teacher, const std::shared_ptr<lower::Backend>& backend);

  /// Binds the buffers to the inputs of the student's side.
  void bind(BoundExecutor& student) const;
  /// Fills them: reads what is kept of `batch`, else runs the teacher on the inputs that `bind_inputs` gives it and keeps what it
  /// made. The first such batch builds the executable and packs the weights.
  /// Errors: Interrupted; Error when a value is kept as f16 and is too large for it.
  void make(const BatchName& batch, const std::function<void(BoundExecutor&)>& bind_inputs);
  /// Of the last batch, in ms: the teacher's run (0 when it was read), and reading and writing.
  double run_ms() const { return run_ms_; }
  double file_ms() const { return file_ms_; }

 private:
  void run(const std::function<void(BoundExecutor&)>& bind_inputs);
  void round_to_f16();

  Graph graph_;
  std::vector<distill::TeacherValue> values_;
  Teacher teacher_;
  std::shared_ptr<lower::Backend> backend_;
  std::string training_key_, held_out_key_;
  TeacherBuffers buffers_;
  std::unique_ptr<BoundExecutor> bound_;
  double run_ms_ = 0, file_ms_ = 0;
};

}  // namespace espalier::train
