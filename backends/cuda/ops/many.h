#pragma once
// Steps over many tensors: the list of chunks, made once, and the tensors' addresses, which are uploaded when they change.

#include <cstring>
#include <vector>

#include "backends/cuda/kernels/optimizer.h"
#include "backends/cuda/ops/ops.h"

namespace espalier::cuda::ops {

using Many = esp::step_of_many<Device>;
using ManyPtr = std::unique_ptr<Many>;

/// An array that kernels read. Uploading is no part of what a recording holds.
template <typename T>
class DeviceArray {
 public:
  /// `now` in device memory.
  const T* on(Device& device, const std::vector<T>& now) {
    const bool same =
        now.size() == held_.size() && (now.empty() || std::memcmp(now.data(), held_.data(), now.size() * sizeof(T)) == 0);
    if (memory_ && same) return static_cast<const T*>(memory_->data());
    device.note_upload();
    memory_ = device.allocate(now.size() * sizeof(T));
    device.seam().upload(memory_->data(), now.data(), now.size() * sizeof(T));
    held_ = now;
    return static_cast<const T*>(memory_->data());
  }

 private:
  std::unique_ptr<Memory> memory_;
  std::vector<T> held_;
};

/// Chunks of `part` elements of tensors with so many.
inline std::vector<kernels::Chunk> chunks_of(const std::vector<int64_t>& counts, int64_t part) {
  std::vector<kernels::Chunk> chunks;
  for (size_t tensor = 0; tensor < counts.size(); ++tensor)
    for (int64_t begin = 0, i = 0; begin < counts[tensor]; begin += part, ++i)
      chunks.push_back({static_cast<unsigned>(tensor), static_cast<unsigned>(i)});
  return chunks;
}

/// Tensors of one kind of state, by chunks of `part` elements.
template <typename State>
class ManyTensors {
 public:
  ManyTensors(std::span<const Node> nodes, int64_t part) {
    for (const Node& node : nodes) counts_.push_back(esp::elements(node.in(0)));
    list_ = chunks_of(counts_, part);
  }
  /// state_of(device, operands, elements) of each, in device memory.
  const State* states(Device& device, std::span<const Operands> at, State (*state_of)(Device&, const Operands&, int64_t)) {
    std::vector<State> now;
    for (size_t i = 0; i < at.size(); ++i) now.push_back(state_of(device, at[i], counts_[i]));
    return states_.on(device, now);
  }
  const kernels::Chunk* chunks(Device& device) { return chunks_.on(device, list_); }
  unsigned chunk_count() const { return static_cast<unsigned>(list_.size()); }

 private:
  std::vector<int64_t> counts_;
  std::vector<kernels::Chunk> list_;
  DeviceArray<State> states_;
  DeviceArray<kernels::Chunk> chunks_;
};

/// Options of adamw and adamw8bit.
inline kernels::AdamWOptions adamw_options(const Node& node) {
  return {static_cast<float>(node.number("beta1")),     static_cast<float>(node.number("beta2")),
          static_cast<float>(1 - node.number("beta1")), static_cast<float>(1 - node.number("beta2")),
          static_cast<float>(node.number("eps")),       node.number("weight_decay")};
}

/// `prepare_many` for a class that is made from the device and the nodes.
template <typename M>
ManyPtr make_many(Device& device, std::span<const Node> nodes) {
  return std::make_unique<M>(device, nodes);
}
/// `prepare` for the same: many, of which there is one.
template <typename M>
StepPtr make_one(Device& device, const Node& node) {
  class One final : public Step {
   public:
    explicit One(ManyPtr many) : many_(std::move(many)) {}
    void run(Device& on, const Operands& at) override { many_->run(on, {&at, 1}); }

   private:
    ManyPtr many_;
  };
  return std::make_unique<One>(make_many<M>(device, {&node, 1}));
}

}  // namespace espalier::cuda::ops
