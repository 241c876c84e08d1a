#pragma once
// What a recipe's stages would do, before anything is trained.

#include <vector>

#include "core/data/source.h"
#include "core/train/joint.h"
#include "core/train/models.h"
#include "core/train/services.h"

namespace espalier::train {

/// One stage as it goes when every gate is met.
struct StagePreview {
  prune::RemovalPlan step;  // in the student before it
  Structure after;
  int64_t parameters = 0;
  std::vector<distill::JointTerm> terms;   // of its losses
  std::vector<distill::JointTerm> logged;  // likewise
  std::vector<std::string> metrics;        // keys of metrics, without "val/"
};

/// Goes through all stages in order, each on the structure that the ones before it leave: asks its pruner, opens its teacher,
/// and builds its losses once, so that what a later stage would refuse is refused now and not after days of training.
///
/// Errors: UserError with the stage's place when a pruner refuses its student, a teacher does not open or has another structure,
/// a gate's metric will not be there (nearest), a glob of `weights` matches no term in any stage (nearest); those of joint_graph.
/// Cost: that of the pruners, of which one that looks at weights, or at what units do, sees those of the student at the start; a
/// graph of forward for each structure.
std::vector<StagePreview> preview_stages(const Recipe& recipe, const Models& models, const Services& services,
                                         const Losses& losses, const data::Source& source, const prune::Calibrate& calibrate);

/// "" when the numbers at the end of `stage`, of `steps` steps, will have `metric`, else what is wrong (nearest). Labels of a
/// metric are not known beforehand: what begins with its key passes.
std::string metric_fault(const std::string& metric, int64_t steps, const StagePreview& stage, bool held_out);

/// The stage that trains most parameters: the one that needs most memory.
size_t largest_stage(const std::vector<StagePreview>& stages);

}  // namespace espalier::train
