// A value is an integer of at most 11 bits times a power of two, hence exact in f16; each Philox block gives eight.

#include "core/model/random_weights.h"

#include <cmath>
#include <mutex>
#include <unordered_map>

#include "core/base/half.h"
#include "core/base/rng.h"
#include "core/io/memory_source.h"

namespace espalier::model {
namespace {

/// value = offset + k * scale, |k| <= limit.
struct Range {
  double offset, scale;
  int32_t limit;
};

Range range_of(std::string_view name, const Shape& shape) {
  if (shape.rank() == 1) return {name.ends_with(".weight") ? 1.0 : 0.0, 1.0 / 1024, name.ends_with(".weight") ? 102 : 31};
  const double fan_in = static_cast<double>(shape.elements()) / static_cast<double>(shape[0]);
  // Uniform in ±limit has a standard deviation of limit / sqrt(3).
  return {0.0, std::exp2(std::round(std::log2(std::sqrt(3.0 / fan_in) / 1023))), 1023};
}

class RandomTensorSource final : public io::TensorSource {
 public:
  RandomTensorSource(const BlockTree& tree, uint64_t seed) : seed_(seed) {
    for (TensorSpec& spec : tensor_specs(tree)) {
      names_.push_back(spec.name);
      tensors_.emplace(std::move(spec.name), Tensor{std::move(spec.shape), {}});
    }
  }

  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return tensors_.count(std::string(name)) != 0; }
  std::string describe() const override { return "random weights of seed " + std::to_string(seed_); }

  io::TensorRef get(std::string_view name) const override {
    const auto found = tensors_.find(std::string(name));
    if (found == tensors_.end()) io::no_such_tensor(*this, name);
    const Tensor& tensor = found->second;
    std::call_once(tensor.made, [&] { make(found->first, tensor); });
    return {{DType::kF16, tensor.shape}, std::as_bytes(std::span(tensor.values))};
  }

 private:
  struct Tensor {
    Tensor(Shape s, std::vector<uint16_t> v) : shape(std::move(s)), values(std::move(v)) {}
    Tensor(Tensor&& other) noexcept : shape(std::move(other.shape)), values(std::move(other.values)) {}
    Shape shape;
    mutable std::vector<uint16_t> values;  // filled at first use, under `made`
    mutable std::once_flag made;
  };

  void make(const std::string& name, const Tensor& tensor) const {
    const uint64_t stream = rng::stream_of(name);
    const Range range = range_of(name, tensor.shape);
    const auto choices = static_cast<uint32_t>(2 * range.limit + 1);
    // All values a tensor can have, as f16: drawing is then a table look-up.
    std::vector<uint16_t> table(choices);
    for (uint32_t c = 0; c < choices; ++c)
      table[c] = f32_to_f16(static_cast<float>(range.offset + (static_cast<int32_t>(c) - range.limit) * range.scale));
    tensor.values.resize(static_cast<size_t>(tensor.shape.elements()));
    const std::array<uint32_t, 2> key{static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)};
    const std::array<uint32_t, 2> high{static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
    size_t at = 0;
    for (uint64_t counter = 0; at < tensor.values.size(); ++counter) {
      const auto words =
          rng::philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), high[0], high[1]}, key);
      for (const uint32_t word : words)
        for (const uint32_t half : {word & 0xffffu, word >> 16})
          if (at < tensor.values.size()) tensor.values[at++] = table[(half * choices) >> 16];
    }
  }

  uint64_t seed_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, Tensor> tensors_;
};

}  // namespace

io::TensorSourcePtr random_weights(const BlockTree& tree, uint64_t seed) {
  return std::make_shared<const RandomTensorSource>(tree, seed);
}

}  // namespace espalier::model
