#pragma once
// Memory of training state: the host's, with a twin on a device whose memory the host does not read.

#include <cstddef>
#include <memory>
#include <span>

#include "core/ir/shape.h"
#include "core/lower/backend.h"

namespace espalier::train {

/// Zeroed memory whose address never changes. The system hands it out at the first write: what a student that is pruned before
/// its first step never writes (gradients, optimizer) is never there, but for small tensors.
///
/// On a device with memory of its own the twin is made when the device first asks for it. Whichever side was written last holds;
/// the other is brought up to date when it is asked for, so that training leaves its state on the device from step to step and
/// a checkpoint or a removal reads it on the host. Cost: one copy for each change of sides. Errors: std::bad_alloc.
class Buffer {
 public:
  explicit Buffer(TensorType type);
  const TensorType& type() const { return type_; }

  std::span<const std::byte> bytes() const {
    to_host();
    return {data_.get(), type_.bytes()};
  }
  /// For writing: the twin is out of date from here on.
  std::span<std::byte> bytes() {
    to_host();
    holder_ = Holder::kHost;
    return {data_.get(), type_.bytes()};
  }
  std::span<const float> floats() const { return {reinterpret_cast<const float*>(bytes().data()), type_.bytes() / 4}; }

  /// Where `backend` (null: the reference) reads it.
  const void* read_on(const std::shared_ptr<lower::Backend>& backend) const;
  /// Where `backend` writes it. What it holds stays until then, for work in place after read_on.
  void* write_on(const std::shared_ptr<lower::Backend>& backend);
  /// All zeros. `zeros`: as many of them or more, where `backend` reads them; for the host anything.
  void clear(const std::shared_ptr<lower::Backend>& backend, const void* zeros);

 private:
  enum class Holder { kBoth, kHost, kDevice };
  struct Free {
    explicit Free(size_t bytes) : mapped(bytes) {}
    size_t mapped;  // bytes of pages of its own; 0: from the heap
    void operator()(std::byte* data) const;
  };
  void to_host() const;
  void* twin_on(const std::shared_ptr<lower::Backend>& backend) const;

  TensorType type_;
  std::unique_ptr<std::byte, Free> data_;
  mutable std::shared_ptr<lower::Backend> backend_;  // of the twin, which it outlives
  mutable std::unique_ptr<lower::DeviceMemory> twin_;
  mutable Holder holder_ = Holder::kHost;
};

/// Whether `backend` works on memory of its own, so that buffers have twins there.
inline bool has_own_memory(const std::shared_ptr<lower::Backend>& backend) {
  return backend != nullptr && !backend->host_accessible();
}

}  // namespace espalier::train
