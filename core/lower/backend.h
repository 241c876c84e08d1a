#pragma once
// What lowering and execution ask of a compute backend. Owned by the room that calls it; `plugins/` implements it over
// the C ABI, tests implement it in C++. core links no backend.

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/ir/graph.h"
#include "core/lower/call_list.h"

namespace espalier::lower {

/// A backend's answer for one call.
struct KernelChoice {
  bool accepted = false;
  std::string kernel;             // the first of the ranked list that accepts
  uint64_t workspace_bytes = 0;   // scratch of one run, planned into the arena
  KeptCopies kept;                // packed copies of the call's parameters
  std::vector<Refusal> refusals;  // of the kernels ranked before it (of all, when none accepts)
};

/// One parameter as a backend keeps it. Shared by every executable that reads it; packed once per kernel layout.
class DeviceParam {
 public:
  virtual ~DeviceParam() = default;
};

/// Bytes of one parameter as the file has them.
struct HostParam {
  std::string name;
  TensorType type;  // dtype of the file: f16, bf16 or f32
  const void* data = nullptr;
  bool mapped = false;         // keep no packed copy: widen while packing at each run, then call `drop`
  std::function<void()> drop;  // tells the file that its pages are not needed soon
};

/// A compiled partition of a call list.
class Executable {
 public:
  virtual ~Executable() = default;
  /// Runs the partition. `arena` is the buffer planned for the whole call list, `inputs`, `outputs` and `constants`
  /// are in the call list's order, `params` too.
  virtual void run(void* arena, const std::vector<const void*>& inputs, const std::vector<void*>& outputs,
                   const std::vector<const void*>& constants, const std::vector<std::shared_ptr<DeviceParam>>& params) = 0;
  /// Milliseconds of each call of the last run, in partition order; empty when the backend does not time.
  virtual std::vector<double> last_call_ms() const { return {}; }
};

/// Aligned memory of a backend's device.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual void* data() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;      // "cpu"
  virtual std::string describe() const = 0;  // device, instruction set, libraries
  virtual bool host_accessible() const = 0;  // buffers are ordinary memory
  /// A description of a device: lowering for it works, nothing can be run.
  virtual bool plans_only() const { return false; }
  virtual uint64_t memory_bytes() const { return 0; }  // of a device with memory of its own; 0: not known
  virtual KernelChoice support(const OpCall& call, const std::string& path, const std::vector<bool>& is_param) = 0;
  virtual std::unique_ptr<DeviceMemory> allocate(uint64_t bytes) = 0;
  /// `bytes` from one place to another, each in memory of the device or of the host. Returns when it is done.
  virtual void copy(void* to, const void* from, uint64_t bytes) { std::memcpy(to, from, bytes); }
  virtual std::shared_ptr<DeviceParam> make_param(const HostParam& param) = 0;
  /// Compiles calls [first, last) of `list`, all of which it accepted. `timed` asks for last_call_ms.
  virtual std::unique_ptr<Executable> compile(const CallList& list, size_t first, size_t last, bool timed) = 0;
};

}  // namespace espalier::lower
