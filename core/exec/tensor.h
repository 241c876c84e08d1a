#pragma once
// Tensors of a run as people hand them in and get them back: f32 in owned memory, by name.

#include <map>
#include <string>
#include <vector>

#include "core/ir/shape.h"

namespace espalier::exec {

struct FloatTensor {
  Shape shape;
  std::vector<float> values;  // row-major, shape.elements() of them
};

using FloatTensors = std::map<std::string, FloatTensor>;

}  // namespace espalier::exec
