#pragma once
// What a run keeps on a device whose memory the host does not read.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "core/io/tensor_source.h"
#include "core/lower/backend.h"
#include "core/lower/call_list.h"
#include "core/model/block_tree.h"
#include "core/train/recipe.h"

namespace espalier::train {

/// Parameters on the device, one copy for each element type that a graph reads them in.
class DeviceParams {
 public:
  void add(const lower::CallList& list);
  uint64_t bytes() const;

 private:
  std::map<std::pair<std::string, DType>, uint64_t> copies_;
};

/// Inputs, outputs and constants of `list` that go to the device and back at each run: all but the buffers of the tensors of
/// `student` and their gradients, which stay there.
uint64_t staged_bytes(const lower::CallList& list, const model::BlockTree& student);

/// Values and scratch of the gradients' norms and of the update.
uint64_t update_bytes(const model::BlockTree& student, const TrainSpec& train, const std::shared_ptr<lower::Backend>& backend);

/// Work of one run of `list`: a multiply-add of a product, convolution or attention is 2 FLOPs; bytes are each operand read and
/// each result written once.
struct Work {
  double product_flops = 0, other_flops = 0, bytes = 0;
  uint64_t calls = 0;
  void add(const Work& other);
};
Work work_of(const lower::CallList& list);

}  // namespace espalier::train
