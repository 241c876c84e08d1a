#pragma once
// What an opened cpu device is: its thread pool, scratch memory, parameters with their packed copies, and kernel table.

#include <espalier/sdk/backend.hpp>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "backends/cpu/memory.h"
#include "backends/cpu/onednn.h"
#include "backends/cpu/pool.h"
#include "backends/cpu/widen.h"

namespace espalier::cpu {

/// A parameter of the model: the file's bytes, and copies as kernels want them, one for each layout.
class Param {
 public:
  explicit Param(const esp_host_param& host) : host_(host) {}
  const esp_tensor_type& type() const { return host_.type; }
  const void* data() const { return host_.data; }
  /// Mapped parameters keep no copy above this size; small vectors are read too often and weigh nothing.
  static constexpr int64_t kSmallBytes = 64 << 10;
  bool keeps_copies(int64_t bytes) const { return !(host_.flags & ESP_PARAM_MAPPED) || bytes <= kSmallBytes; }
  /// The copy in `layout`, or null. Valid as long as the parameter.
  const void* find(const std::string& layout) const;
  char* add(const std::string& layout, int64_t bytes);
  void drop() const {
    if (host_.drop) host_.drop(host_.drop_ctx);
  }

 private:
  esp_host_param host_;
  std::map<std::string, Memory> copies_;
};

class Device {
 public:
  using param = Param;
  using memory = Memory;
  using Operands = esp::operands<Device>;
  using Node = esp::node;
  using Verdict = esp::verdict;

  /// `prefer`: a kernel name to try before the ranked list, or empty.
  Device(int threads, std::string prefer)
      : pool_(threads), prefer_(std::move(prefer)), scratch_(static_cast<size_t>(pool_.threads())) {}

  static const esp::kernel_table<Device>& kernels();
  std::string_view prefer() const { return prefer_; }
  std::unique_ptr<Memory> allocate(uint64_t bytes) { return std::make_unique<Memory>(bytes); }
  std::unique_ptr<Param> make_param(const esp_host_param& host) { return std::make_unique<Param>(host); }
  void copy(void* to, const void* from, uint64_t bytes);

  /// Around every run: executables of one device take turns, and OpenMP is held to one thread.
  class RunScope {
   public:
    explicit RunScope(Device& device) : lock_(device.run_mutex_) {}

   private:
    std::lock_guard<std::mutex> lock_;
    OneOpenmpThread one_;
  };
  using run_scope = RunScope;

  Pool& pool() { return pool_; }
  /// f(task, thread) for every task in [0, tasks), on all threads.
  template <typename F>
  void parallel(int64_t tasks, F&& f) {
    pool_.run(tasks, f);
  }
  /// f(begin, end) over [0, count) in fixed runs of `grain`.
  template <typename F>
  void parallel_ranges(int64_t count, int64_t grain, F&& f) {
    pool_.run((count + grain - 1) / grain, [&](int64_t task, int) {
      const int64_t begin = task * grain;
      f(begin, begin + grain < count ? begin + grain : count);
    });
  }
  /// Scratch of one thread inside a task; contents last until the same thread asks again.
  float* scratch(int thread, int64_t floats);
  /// Scratch that all threads share within one step.
  float* shared_scratch(int64_t floats);

  /// Operand `i` as f32: where it is, or a parameter's widened copy.
  const float* floats(const Operands& at, size_t i);

 private:
  Pool pool_;
  std::string prefer_;
  std::vector<Memory> scratch_;
  Memory shared_;
  std::mutex run_mutex_;
};

using Node = esp::node;
using Verdict = esp::verdict;
using Operands = esp::operands<Device>;
using Kernel = esp::kernel<Device>;
using Step = esp::step<Device>;
using StepPtr = std::unique_ptr<Step>;

/// Where the elements of a weight come from: a parameter in its file's dtype, or f32 computed by the graph.
struct Weight {
  Param* param = nullptr;
  const void* data = nullptr;
  int32_t dtype = ESP_F32;
};
Weight weight_of(const Operands& at, size_t i);

/// A packed weight: f32, or the file's own f16 or bf16.
struct Packed {
  const void* data = nullptr;
  int32_t dtype = ESP_F32;
  /// From element `first` on.
  Packed from(int64_t first) const { return {static_cast<const char*>(data) + first * esp::dtype_bytes(dtype), dtype}; }
};

/// Packs a weight in `parts` equal parts of `part_floats` and hands them on: use(first, last, packed) with parts [first, last)
/// at `packed`. pack_part(weight, part, to) writes one part as f32. A parameter that keeps copies is packed once for each
/// `layout` and used in one go; any other weight is packed at each run, a chunk of parts at a time, into shared scratch, and
/// its pages are dropped afterwards. `exact`: packing only moves elements, so that a copy can keep the file's dtype.
template <typename PackPart, typename Use>
void with_packed(Device& device, const Weight& weight, const std::string& layout, int64_t parts, int64_t part_floats, bool exact,
                 PackPart&& pack_part, Use&& use) {
  if (weight.param && weight.param->keeps_copies(parts * part_floats * 4)) {
    const int32_t dtype = exact ? weight.dtype : int32_t{ESP_F32};
    const int64_t part_bytes = part_floats * esp::dtype_bytes(dtype);
    const void* packed = weight.param->find(layout);
    if (!packed) {
      char* fresh = weight.param->add(layout, parts * part_bytes);
      device.parallel(parts, [&](int64_t i, int thread) {
        char* to = fresh + i * part_bytes;
        if (dtype == ESP_F32) return pack_part(weight, i, reinterpret_cast<float*>(to));
        float* wide = device.scratch(thread, part_floats);
        pack_part(weight, i, wide);
        narrow(wide, part_floats, dtype, to);
      });
      weight.param->drop();
      packed = fresh;
    }
    use(int64_t{0}, parts, Packed{packed, dtype});
    return;
  }
  constexpr int64_t kChunkFloats = 8 << 20;  // 32 MiB: larger than the caches, small beside any model
  const int64_t chunk = std::clamp<int64_t>(kChunkFloats / part_floats, 1, parts);
  float* packed = device.shared_scratch(chunk * part_floats);
  for (int64_t first = 0; first < parts; first += chunk) {
    const int64_t last = std::min(first + chunk, parts);
    device.parallel(last - first, [&](int64_t i, int) { pack_part(weight, first + i, packed + i * part_floats); });
    use(first, last, Packed{packed, ESP_F32});
  }
  if (weight.param) weight.param->drop();
}

// Words that `accepts` functions share.
/// Refuses unless every operand and result is f32.
Verdict all_f32(const Node& node);

}  // namespace espalier::cpu
