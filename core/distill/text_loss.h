#pragma once
// A loss as text: a graph of ops without types, so that it fits any model.
//
//   // Squared error of the output over the power of the teacher's.
//   graph @norm_mse(%output, %teacher_output) {
//     %eps = constant [1e-4]
//     %d = sub %output, %teacher_output
//     %s = square %d
//     %error = reduce_mean %s
//     …
//     return %term
//   }

#include <memory>
#include <string>

#include "core/distill/loss.h"

namespace espalier::distill {

/// The loss in `text`, read from `file`. Its inputs are some of output, target, teacher_output [N,H,W,C], timestep, alpha_bar
/// [N]; one that reads teacher and student is made once for each pair of features of `pairs`, and its terms are labelled with the
/// student's block path. Every output is a term, an f32 scalar; several of one graph are told apart by their names.
///
/// Errors: UserError with file:line:column of every fault that shows on made-up shapes, at once; emit: those that show on the
/// model's only.
std::unique_ptr<LossStrategy> text_loss(const std::string& text, const std::string& file, const PairsRequest& pairs);

/// Whether the text compares features, and therefore needs pairs. False for text that cannot be read.
bool compares_features(const std::string& text);

}  // namespace espalier::distill
