#include "core/ir/shape.h"

namespace espalier {

int64_t Shape::elements() const {
  int64_t n = 1;
  for (int64_t d : dims_) n *= d;
  return n;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

std::string to_string(const TensorType& type) {
  return type.present() ? std::string(name_of(type.dtype)) + to_string(type.shape) : std::string("none");
}

}  // namespace espalier
