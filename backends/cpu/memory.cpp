// Large blocks are their own mappings, so that freeing one gives its pages back at once.

#include "backends/cpu/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>
#include <utility>

namespace espalier::cpu {
namespace {
constexpr uint64_t kHuge = uint64_t{2} << 20;
uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }
}  // namespace

Memory::Memory(uint64_t bytes) : bytes_(bytes) {
  if (bytes > (uint64_t{1} << 46)) throw std::bad_alloc();
  if (bytes < kHuge) {
    data_ = std::aligned_alloc(64, round_up(bytes == 0 ? 1 : bytes, 64));
    if (!data_) throw std::bad_alloc();
    return;
  }
  // Mapped with room to spare; the parts before and after the aligned block go back.
  const uint64_t length = round_up(bytes, kHuge);
  void* raw = mmap(nullptr, length + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) throw std::bad_alloc();
  const auto begin = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = round_up(begin, kHuge);
  if (aligned > begin) munmap(raw, aligned - begin);
  if (const uint64_t rest = begin + kHuge - aligned) munmap(reinterpret_cast<void*>(aligned + length), rest);
  data_ = reinterpret_cast<void*>(aligned);
  mapped_ = length;
  madvise(data_, length, MADV_HUGEPAGE);  // a hint: without huge pages it is merely slower
}

Memory::~Memory() {
  if (mapped_)
    munmap(data_, mapped_);
  else
    std::free(data_);
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

void Memory::reserve(uint64_t bytes) {
  if (bytes <= bytes_) return;
  *this = Memory();
  *this = Memory(bytes);
}

}  // namespace espalier::cpu
