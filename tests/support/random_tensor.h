#pragma once
// Test data by counter: the same numbers for the same seed and stream, whatever the order of the tests.

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/ir/op_def.h"

namespace espalier::testing {

inline double random_value(Fill fill, uint64_t seed, uint64_t stream, uint64_t counter) {
  switch (fill) {
    case Fill::kNormal:
      return rng::normal(seed, stream, counter);
    case Fill::kPositive:
      return 0.5 + 1.5 * rng::uniform(seed, stream, counter);
    case Fill::kSmall:
      return 0.1 * rng::normal(seed, stream, counter);
    case Fill::kTimesteps:
      return std::floor(1000.0 * rng::uniform(seed, stream, counter));
    case Fill::kUnit:
      return rng::uniform(seed, stream, counter);
  }
  internal_error("unknown fill");
}

/// Values for a tensor of `type`, each rounded to f32 so that every float format's test starts from the same numbers. Bytes are
/// any of 0 to 255, whatever the fill.
inline std::vector<double> random_tensor(const TensorType& type, Fill fill, uint64_t seed, uint64_t stream) {
  std::vector<double> data(type.present() ? static_cast<size_t>(type.shape.elements()) : 0);
  if (type.dtype == DType::kU8) {
    for (size_t i = 0; i < data.size(); ++i) data[i] = std::floor(256 * rng::uniform(seed, stream, i));
    return data;
  }
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<double>(static_cast<float>(random_value(fill, seed, stream, i)));
  return data;
}

/// One tensor for each operand of `sample`, by its fills; empty where an operand is absent.
inline std::vector<std::vector<double>> random_inputs(const Sample& sample, uint64_t seed) {
  std::vector<std::vector<double>> inputs;
  for (size_t i = 0; i < sample.inputs.size(); ++i)
    inputs.push_back(random_tensor(sample.inputs[i], i < sample.fills.size() ? sample.fills[i] : Fill::kNormal, seed, i));
  return inputs;
}

}  // namespace espalier::testing
