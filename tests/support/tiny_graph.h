#pragma once
// Random graphs that mix what a small backend runs with what is left to the reference, for lowering and execution.

#include <map>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/ir/builder.h"
#include "core/ops/activation.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"

namespace espalier::testing {

/// `size` ops over f32 matrices of 4 rows: linear with parameters, add, mul, silu, reshape, concat, slice. Values are
/// used in any order and any number of times; a few are outputs, among them an input.
inline Graph tiny_graph(uint64_t seed, int size) {
  Graph graph;
  Builder b(graph);
  uint64_t counter = 0;
  const auto draw = [&](uint64_t below) { return rng::bits(seed, 7, counter++) % below; };
  std::vector<Value> values{b.input("x", f32({4, 8})), b.input("y", f32({4, 12}))};
  const auto any = [&] { return values[draw(values.size())]; };
  const auto like = [&](Value v) {
    std::vector<Value> same;
    for (Value other : values)
      if (b.shape(other) == b.shape(v)) same.push_back(other);
    return same[draw(same.size())];
  };
  for (int i = 0; i < size; ++i) {
    const Value v = any();
    const int64_t columns = b.shape(v)[1];
    const std::string name = "layer" + std::to_string(i);
    switch (draw(7)) {
      case 0:
      case 1: {
        const auto out = static_cast<int64_t>(1 + draw(16));
        const Value weight = b.param(name + ".weight", f32({out, columns}));
        values.push_back(ops::linear(b, v, weight, draw(2) == 0 ? Value{} : b.param(name + ".bias", f32({out}))));
        break;
      }
      case 2:
        values.push_back(ops::add(b, v, like(v)));
        break;
      case 3:
        values.push_back(ops::mul(b, ops::sigmoid(b, v), like(v)));
        break;
      case 4:
        values.push_back(ops::silu(b, ops::reshape(b, ops::reshape(b, v, {columns, 4}), {4, columns})));
        break;
      case 5:
        values.push_back(columns > 24 ? ops::tanh(b, v) : ops::concat(b, {v, any()}, 1));
        break;
      default:
        values.push_back(ops::slice(b, v, 1, 0, (columns + 1) / 2));
        break;
    }
  }
  for (int i = 0; i < 3; ++i) b.output("out" + std::to_string(i), any());
  b.output("last", values.back());
  return graph;
}

}  // namespace espalier::testing
