#include "core/train/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace espalier::train {
namespace {

/// From here on a buffer has pages of its own: the heap clears what it hands out again, and what is cleared is there.
constexpr size_t kOwnPages = size_t{16} << 10;

}  // namespace

Buffer::Buffer(TensorType type) : type_(std::move(type)), data_(nullptr, Free(0)) {
  const size_t size = type_.bytes() + 1;  // an empty tensor has an address too
  const bool own = size >= kOwnPages;
  void* data = own ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : std::calloc(size, 1);
  if (data == nullptr || data == MAP_FAILED) throw std::bad_alloc();
  data_ = std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(data), Free(own ? size : 0));
}

void Buffer::Free::operator()(std::byte* data) const {
  if (mapped > 0)
    munmap(data, mapped);
  else
    std::free(data);
}

void Buffer::to_host() const {
  if (holder_ != Holder::kDevice) return;
  backend_->copy(data_.get(), twin_->data(), type_.bytes());
  holder_ = Holder::kBoth;
}

void* Buffer::twin_on(const std::shared_ptr<lower::Backend>& backend) const {
  if (twin_ == nullptr || backend_ != backend) {
    to_host();
    twin_ = backend->allocate(type_.bytes());
    backend_ = backend;
    holder_ = Holder::kHost;
  }
  return twin_->data();
}

const void* Buffer::read_on(const std::shared_ptr<lower::Backend>& backend) const {
  if (!has_own_memory(backend)) return bytes().data();
  void* twin = twin_on(backend);
  if (holder_ == Holder::kHost) {
    backend->copy(twin, data_.get(), type_.bytes());
    holder_ = Holder::kBoth;
  }
  return twin;
}

void* Buffer::write_on(const std::shared_ptr<lower::Backend>& backend) {
  if (!has_own_memory(backend)) return bytes().data();
  void* twin = twin_on(backend);
  holder_ = Holder::kDevice;
  return twin;
}

void Buffer::clear(const std::shared_ptr<lower::Backend>& backend, const void* zeros) {
  if (has_own_memory(backend)) {
    backend->copy(write_on(backend), zeros, type_.bytes());
  } else {
    std::memset(data_.get(), 0, type_.bytes());
    holder_ = Holder::kHost;
  }
}

}  // namespace espalier::train
