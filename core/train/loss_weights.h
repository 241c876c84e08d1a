#pragma once
// How much each term of the total counts at a step.

#include <string>
#include <vector>

#include "core/distill/joint_graph.h"
#include "core/train/recipe.h"

namespace espalier::train {

/// For each term the weight of its [[loss]] times the factor of every glob of `weights` that matches its key.
/// Errors: UserError for globs that match no term of their loss, all at once (nearest keys).
class LossWeights {
 public:
  LossWeights(const std::vector<distill::JointTerm>& terms, const std::vector<LossSpec>& losses);
  /// The weights of step `t`: those of a loss outside its steps are 0.
  std::vector<float> at(int64_t t) const;

 private:
  std::vector<distill::JointTerm> terms_;
  std::vector<LossSpec> losses_;
  std::vector<double> full_;
};

}  // namespace espalier::train
