#pragma once
// Steps that apply one function to every element.

#include "backends/cpu/kernels/kernels.h"
#include "backends/cpu/vec.h"

namespace espalier::cpu::kernels {

inline constexpr int64_t kMapGrain = 1 << 14;  // elements of one task: 64 KiB in, 64 KiB out

/// out[i] = F(x[i]), F a function of Vec.
template <Vec (*F)(Vec)>
class VectorMap final : public Step {
 public:
  explicit VectorMap(const Node& node) : count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      int64_t i = begin;
      for (; i + kLanes <= end; i += kLanes) store(out + i, F(load(x + i)));
      if (i < end) store_part(out + i, F(load_part(x + i, end - i)), end - i);
    });
  }

 private:
  int64_t count_;
};

/// The same for a function of float.
template <float (*F)(float)>
class ScalarMap final : public Step {
 public:
  explicit ScalarMap(const Node& node) : count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    const float* x = device.floats(at, 0);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = F(x[i]);
    });
  }

 private:
  int64_t count_;
};

/// f(i, lanes) over [begin, end): whole vectors, then what is left. In place, a loop over floats would not be vectorised: the
/// compiler cannot know that the streams are either the same or apart.
template <typename F>
void by_vectors(int64_t begin, int64_t end, F&& f) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) f(i, int64_t{kLanes});
  if (i < end) f(i, end - i);
}
inline Vec take(const float* p, int64_t lanes) { return lanes == kLanes ? load(p) : load_part(p, lanes); }
inline void put(float* p, Vec v, int64_t lanes) { lanes == kLanes ? store(p, v) : store_part(p, v, lanes); }

/// out[i] = F(x[i], d[i]) for operands of one shape.
template <Vec (*F)(Vec, Vec)>
class VectorZip final : public Step {
 public:
  explicit VectorZip(const Node& node) : count_(esp::elements(node.out())) {}
  void run(Device& device, const Operands& at) override {
    const float *x = device.floats(at, 0), *d = device.floats(at, 1);
    auto* out = static_cast<float*>(at.out[0]);
    device.parallel_ranges(count_, kMapGrain, [&](int64_t begin, int64_t end) {
      int64_t i = begin;
      for (; i + kLanes <= end; i += kLanes) store(out + i, F(load(x + i), load(d + i)));
      if (const int64_t rest = end - i; rest > 0) store_part(out + i, F(load_part(x + i, rest), load_part(d + i, rest)), rest);
    });
  }

 private:
  int64_t count_;
};

inline Verdict accepts_f32(const Device&, const Node& node) { return all_f32(node); }

}  // namespace espalier::cpu::kernels
