#pragma once
// Memory in huge pages. First touch of ordinary pages dominates on virtual machines; 2 MiB pages make it 500 times rarer.

#include <cstddef>
#include <cstdint>

namespace espalier::cpu {

/// An allocation: zero-filled by the system at first touch, 2 MiB-aligned and advised to be huge when it is that large,
/// else 64-byte aligned. Errors: std::bad_alloc.
class Memory {
 public:
  Memory() = default;
  explicit Memory(uint64_t bytes);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() { return data_; }
  float* floats() { return static_cast<float*>(data_); }
  const float* floats() const { return static_cast<const float*>(data_); }
  uint64_t bytes() const { return bytes_; }
  /// Makes room for `bytes`; contents are lost when it grows.
  void reserve(uint64_t bytes);

 private:
  void* data_ = nullptr;
  uint64_t bytes_ = 0;
  uint64_t mapped_ = 0;  // length of the mapping; 0: from the heap
};

}  // namespace espalier::cpu
