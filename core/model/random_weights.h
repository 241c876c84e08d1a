#pragma once
// Deterministic random weights for a structure that has no file: f16, made tensor by tensor on first use.

#include <cstdint>

#include "core/io/tensor_source.h"
#include "core/model/block_tree.h"

namespace espalier::model {

/// All tensors of `tree` as f16, a pure function of seed and tensor name.
///
/// Matrices and filters are uniform with a standard deviation near 1/sqrt(fan in), norm weights within 0.1 of 1, biases
/// within 0.03. A tensor is made when it is first asked for and kept.
/// Cost: memory grows to that of the tensors asked for; about a second per gigabyte.
io::TensorSourcePtr random_weights(const BlockTree& tree, uint64_t seed);

}  // namespace espalier::model
