#pragma once
// How much each term of the total counts at a step.

#include <string>
#include <vector>

#include "core/distill/joint_graph.h"
#include "core/train/recipe.h"

namespace espalier::train {

/// For each term the weight of its [[loss]] times the factor of every glob of `weights` that matches its key. A glob may match
/// nothing: it then is for the terms of another stage.
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

/// Adds to `errors` each glob of `weights` that matches no term of its loss in any stage (nearest keys). `stages`: the terms of
/// each.
void check_globs(const std::vector<std::vector<distill::JointTerm>>& stages, const std::vector<LossSpec>& losses,
                 ErrorList& errors);

}  // namespace espalier::train
