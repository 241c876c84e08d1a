#pragma once
// An executor whose buffers are bound by name, and what those that run the teacher have in common.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/exec/executor.h"
#include "core/lower/backend.h"
#include "core/train/buffer.h"

namespace espalier::train {

class TeacherFolder;

/// Runs `list` with buffers by name: inputs by their label, outputs by their name. Memory is bound once and read or written at
/// each run; a Buffer stays on the backend's device between runs.
class BoundExecutor {
 public:
  BoundExecutor(lower::CallList list, const std::shared_ptr<lower::Backend>& backend, const io::TensorSourcePtr& weights,
                const exec::ExecOptions& options);
  /// Errors: InternalError for a name that the graph does not have, unless `optional`.
  void input(const std::string& name, const void* data, bool optional = false);
  void output(const std::string& name, void* data);
  void input(const std::string& name, const Buffer& buffer, bool optional = false);
  void output(const std::string& name, Buffer& buffer);
  /// Errors: InternalError when something is not bound, or a name is bound to a Buffer in one run and to memory in another.
  void run();
  const exec::Executor& executor() const { return *executor_; }

 private:
  struct Read {
    const void* data = nullptr;
    const Buffer* buffer = nullptr;
  };
  struct Written {
    void* data = nullptr;
    Buffer* buffer = nullptr;
  };
  void keep_buffers_on_device();

  std::shared_ptr<lower::Backend> backend_;
  std::unique_ptr<exec::Executor> executor_;
  std::map<std::string, size_t> input_index_, output_index_;
  std::vector<Read> inputs_;
  std::vector<Written> outputs_;
  exec::OnDevice on_device_;
};

/// The teacher's weights, shared by every executor that runs it. Both null without a teacher.
struct Teacher {
  io::TensorSourcePtr weights;
  std::shared_ptr<exec::SharedParams> params;
  bool mapped = false;  // no packed copies: less memory, slower
  // Where its values are kept for other runs, null: nowhere; and what they depend on (teacher_values_text).
  std::shared_ptr<TeacherFolder> shared = {};
  std::string shared_of_training = {}, shared_of_held_out = {};
};

/// The teacher's tensors under the names that the joint graph gives its parameters. Null without weights.
io::TensorSourcePtr of_joint_graph(const io::TensorSourcePtr& teacher);

}  // namespace espalier::train
