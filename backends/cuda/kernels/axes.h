#pragma once
// Where operands lie that are walked in other steps than the result: up to eight dimensions, neighbours merged where every
// operand allows it, so that the innermost run is as long as can be.

#include <cstdint>

namespace espalier::cuda::kernels {

/// Dimensions of a result, outermost first, with each operand's step in elements. `rank` is at least 1.
template <int kOperands>
struct Axes {
  static constexpr int kMost = 8;
  int rank = 0;
  int64_t extent[kMost] = {};
  int64_t step[kOperands][kMost] = {};

  /// Adds the next dimension inwards.
  void add(int64_t e, const int64_t (&steps)[kOperands]) {
    if (e == 1) return;
    bool joins = rank > 0;
    for (int i = 0; joins && i < kOperands; ++i) joins = step[i][rank - 1] == steps[i] * e;
    if (!joins) ++rank;
    extent[rank - 1] = joins ? extent[rank - 1] * e : e;
    for (int i = 0; i < kOperands; ++i) step[i][rank - 1] = steps[i];
  }
  /// A scalar has one dimension of one element.
  void finish() {
    if (rank == 0) extent[rank++] = 1;
  }
  int64_t count() const {
    int64_t elements = 1;
    for (int d = 0; d < rank; ++d) elements *= extent[d];
    return elements;
  }
};

}  // namespace espalier::cuda::kernels
