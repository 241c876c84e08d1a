#pragma once
// The inputs, outputs and constants of a run in the memory of a device that cannot read the host's.

#include <memory>
#include <vector>

#include "core/lower/backend.h"
#include "core/lower/call_list.h"

namespace espalier::exec {

/// Buffers for one call list, all of one allocation. Where the host reads the device's memory there is none of this.
class Staging {
 public:
  /// Uploads `constants`, in the list's order.
  Staging(const lower::CallList& list, lower::Backend& backend, const std::vector<const void*>& constants);

  /// Copies every input to the device.
  void upload(const std::vector<const void*>& inputs);
  /// Copies to the host what calls have written: outputs of their own, and inputs that an in-place op made an output of.
  /// The list's copies are thereby done, but for those from parameters and constants.
  void download(const std::vector<void*>& outputs);

  const std::vector<const void*>& inputs() const { return inputs_; }
  const std::vector<void*>& outputs() const { return outputs_; }
  const std::vector<const void*>& constants() const { return constants_; }

 private:
  const lower::CallList& list_;
  lower::Backend& backend_;
  std::unique_ptr<lower::DeviceMemory> memory_;
  std::vector<const void*> inputs_, constants_;
  std::vector<void*> outputs_;
};

}  // namespace espalier::exec
