#pragma once
// Runs a call list: partitions of backend calls as executables, the calls between them on the reference.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/exec/staging.h"
#include "core/exec/tensor.h"
#include "core/io/tensor_source.h"
#include "core/lower/backend.h"
#include "core/lower/call_list.h"

namespace espalier::exec {

/// Parameters that several executors share: packed once, whatever the number of graphs that read them.
struct SharedParams {
  std::map<std::string, std::shared_ptr<lower::DeviceParam>> by_name;
};

struct ExecOptions {
  bool mapped = false;                        // --weights mapped: no packed copies; pages of the file are dropped behind each use
  bool timed = false;                         // record the milliseconds of each call
  std::shared_ptr<SharedParams> params = {};  // shared with other executors of the same weights and backend; null: own ones
  bool progress = true;                       // show a progress line; a loop over runs has one of its own
  bool interruptible = true;                  // false: a run that has begun is finished, because it changes state in place
  std::vector<size_t> cuts = {};              // calls that run_calls may begin at; a cut costs a partition
};

/// What of the arena is alive at a cut.
struct Snapshot {
  size_t at = 0;  // the call
  std::vector<std::byte> bytes;
};

/// Owns the arena, the executables and the parameters of one call list. One run at a time.
class Executor {
 public:
  /// `backend` may be null when no call is on a backend. `weights` is kept: parameters point into it.
  /// Errors: UserError when a parameter is not in `weights` or has another shape (all of them), or `weights` is null but
  /// the list has parameters; UnsupportedError when calls are left to the reference and the backend's memory is not the host's.
  Executor(lower::CallList list, std::shared_ptr<lower::Backend> backend, io::TensorSourcePtr weights,
           const ExecOptions& options = {});
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// `inputs` and `outputs` in the call list's order, row-major, of the graph's types. Outputs may not overlap anything, but
  /// for one that an in-place op makes: that may be given the memory of the input that the op overwrites, and is then not
  /// copied. Such inputs must be writable.
  /// Calls that only make what a gate of zero leaves out are skipped.
  /// Errors: Interrupted between calls when the user asked to stop.
  void run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs);

  /// Calls [first, last) of a run, each a cut or an end of the list. What stands before `first` must have been run, or restored,
  /// with equal inputs as far as those calls read them; outputs are complete when `last` is the end.
  void run_calls(size_t first, size_t last, const std::vector<const void*>& inputs, const std::vector<void*>& outputs);
  /// What the calls from `at` on read of those before it, as the arena holds it now; and back. Cost: a copy of those bytes.
  Snapshot snapshot(size_t at) const;
  void restore(const Snapshot& snapshot);
  /// Bytes of a snapshot at `at`.
  uint64_t snapshot_bytes(size_t at) const;

  /// For a device whose memory the host does not read, before the first run: the marked inputs and outputs of every run are
  /// given in the device's memory. Calls that a gate makes useless are skipped only where the gate is an element of the others.
  void keep_on_device(OnDevice on_device);

  const lower::CallList& list() const { return list_; }
  /// Of the last run, one per call, 0 for a call that was skipped; empty unless timed.
  const std::vector<double>& call_ms() const { return call_ms_; }
  /// Runs of consecutive calls on the backend; a long one is several, so that progress can be shown between them.
  size_t partitions() const;

 private:
  struct Segment;
  struct HostBuffer;
  void bind_params(const io::TensorSourcePtr& weights);
  void make_constants();
  void allocate_arena();
  void make_segments();
  void run_reference(const lower::Call& call, const std::vector<const void*>& inputs, const std::vector<void*>& outputs);
  void copy_outputs(const std::vector<const void*>& inputs, const std::vector<void*>& outputs);
  const void* address(const lower::Place& place, const std::vector<const void*>& inputs, const std::vector<void*>& outputs) const;

  lower::CallList list_;
  std::shared_ptr<lower::Backend> backend_;  // before everything that it made
  io::TensorSourcePtr weights_;              // shared: parameters point into the mapped files
  ExecOptions options_;
  std::vector<lower::HostParam> host_params_;
  std::vector<std::shared_ptr<lower::DeviceParam>> params_;  // null where only the reference reads them
  std::vector<std::vector<std::byte>> constants_;
  std::vector<const void*> constant_data_;
  std::unique_ptr<lower::DeviceMemory> device_arena_;
  std::unique_ptr<HostBuffer> host_arena_;
  std::unique_ptr<Staging> staging_;  // null where the host reads the device's memory
  void* arena_ = nullptr;
  std::vector<Segment> segments_;
  std::vector<double> call_ms_;
};

/// Runs with tensors by name, in the graph's own layouts. Inputs that the graph does not have are ignored.
/// Errors: UserError that lists every input that is missing or has another shape, in the graph's layouts.
FloatTensors run_named(Executor& executor, const FloatTensors& inputs);

/// The graph in double precision by core/ops alone, with no lowering in between: what every executor is compared with.
FloatTensors run_reference(const Graph& graph, const FloatTensors& inputs, const io::TensorSourcePtr& weights);

}  // namespace espalier::exec
