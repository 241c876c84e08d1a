#pragma once
#include "core/io/tensor_source.h"
#include "core/model/block_tree.h"

namespace espalier::train {

/// Weights to begin training from scratch with, f32, a pure function of seed and tensor name.
///
/// Matrices, filters and their biases are uniform within 1/√(fan in), norms are 1 and 0: PyTorch's own defaults. The last layer
/// of every residual branch and `conv_out` are 0, so that a deep network begins as an identity and learns from the first step.
/// Source: torch.nn.Linear, torch.nn.Conv2d reset_parameters; zero_module of Dhariwal and Nichol 2021 (arXiv 2105.05233).
io::TensorSourcePtr initial_weights(const model::BlockTree& tree, uint64_t seed);

}  // namespace espalier::train
