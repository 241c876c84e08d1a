#pragma once
// The inputs, outputs and constants of a run in the memory of a device that cannot read the host's.

#include <cstddef>
#include <memory>
#include <vector>

#include "core/lower/backend.h"
#include "core/lower/call_list.h"

namespace espalier::exec {

/// Which inputs and outputs of a call list the caller keeps in the device's memory: nothing is copied for those. Empty: none.
struct OnDevice {
  std::vector<bool> inputs, outputs;
  bool input(size_t i) const { return !inputs.empty() && inputs[i]; }
  bool output(size_t i) const { return !outputs.empty() && outputs[i]; }
};

/// Buffers for one call list, all of one allocation. Where the host reads the device's memory there is none of this.
class Staging {
 public:
  /// What one input, output or constant of so many bytes takes: rounded to what vector loads and libraries ask for at most.
  static uint64_t bytes_of(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

  /// Uploads `constants`, in the list's order.
  Staging(const lower::CallList& list, lower::Backend& backend, const std::vector<const void*>& constants, OnDevice on_device);
  ~Staging();

  /// Takes the addresses of one run, and copies to the device what is not there.
  void begin(const std::vector<const void*>& inputs, const std::vector<void*>& outputs);
  /// Does the list's copies, but for those from parameters, and gives the host its outputs.
  void end();

  /// Of the run that has begun: all in the device's memory.
  const std::vector<const void*>& inputs() const { return inputs_; }
  const std::vector<void*>& outputs() const { return outputs_; }
  const std::vector<const void*>& constants() const { return constants_; }
  const OnDevice& on_device() const { return on_device_; }

 private:
  void download(const std::vector<const void*>& from);

  const lower::CallList& list_;
  lower::Backend& backend_;
  OnDevice on_device_;
  std::unique_ptr<lower::DeviceMemory> memory_;
  std::vector<const void*> inputs_, constants_;
  std::vector<void*> outputs_;
  std::vector<void*> host_outputs_;  // of the run that has begun; null where the device keeps them
  // Small outputs that lie one after another come to the host in one copy.
  std::vector<std::byte> small_;
  char* small_begin_ = nullptr;
};

}  // namespace espalier::exec
