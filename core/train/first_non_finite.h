#pragma once
// Where the first NaN or infinity of a step comes from.

#include <string>

#include "core/data/source.h"
#include "core/model/block_tree.h"
#include "core/train/step.h"

namespace espalier::train {

/// Names the first thing that is not finite, in the order in which a step computes: the batch, a weight, a block of the teacher
/// or the student by its path in execution order, a gradient. Runs both models once with every block tapped.
std::string first_non_finite(const model::BlockTree* teacher_tree, const Teacher& teacher, const Student& student,
                             const data::Batch& batch, const std::vector<float>& alpha_bars,
                             const std::shared_ptr<lower::Backend>& backend);

}  // namespace espalier::train
