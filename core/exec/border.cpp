#include "core/exec/border.h"

#include "core/base/error.h"

namespace espalier::exec {
namespace {

// [N,A,B] → [N,B,A]
std::vector<float> swap_last_two(const std::vector<float>& from, size_t n, size_t a, size_t b) {
  std::vector<float> to(from.size());
  for (size_t i = 0; i < n; ++i)
    for (size_t row = 0; row < a; ++row)
      for (size_t column = 0; column < b; ++column) to[(i * b + column) * a + row] = from[(i * a + row) * b + column];
  return to;
}

size_t extent(const Shape& shape, int i) { return static_cast<size_t>(shape[i]); }

}  // namespace

FloatTensor nchw_to_nhwc(const FloatTensor& image) {
  const Shape& s = image.shape;
  ESP_CHECK(s.rank() == 4);
  return {Shape{s[0], s[2], s[3], s[1]}, swap_last_two(image.values, extent(s, 0), extent(s, 1), extent(s, 2) * extent(s, 3))};
}

FloatTensor nhwc_to_nchw(const FloatTensor& image) {
  const Shape& s = image.shape;
  ESP_CHECK(s.rank() == 4);
  return {file_shape(s), swap_last_two(image.values, extent(s, 0), extent(s, 1) * extent(s, 2), extent(s, 3))};
}

FloatTensors from_files(FloatTensors tensors) {
  for (auto& [name, tensor] : tensors)
    if (tensor.shape.rank() == 4) tensor = nchw_to_nhwc(tensor);
  return tensors;
}

FloatTensors to_files(FloatTensors tensors) {
  for (auto& [name, tensor] : tensors)
    if (tensor.shape.rank() == 4) tensor = nhwc_to_nchw(tensor);
  return tensors;
}

Shape file_shape(const Shape& shape) { return shape.rank() == 4 ? Shape{shape[0], shape[3], shape[1], shape[2]} : shape; }

}  // namespace espalier::exec
