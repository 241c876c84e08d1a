#pragma once
// What differs between two models, or between two removal plans.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/model/model.h"
#include "core/prune/removal_plan.h"
#include "core/prune/student_files.h"

namespace espalier::prune {

struct ModelDiff {
  bool same_structure = false;
  std::string hash_a, hash_b;
  std::vector<std::string> only_a, only_b;  // block paths, outermost only
  std::vector<std::string> changed_blocks;  // "down_blocks.2.attentions.0: 10 transformer blocks, 4"
  std::vector<std::string> tensors_only_a, tensors_only_b;
  std::vector<std::string> other_type;   // "name: f16[320], f32[320]"
  std::vector<std::string> other_bytes;  // same type, other contents
  int64_t parameters_a = 0, parameters_b = 0;
  uint64_t equal_tensors = 0, equal_bytes = 0;
  bool compared_weights = false;  // both models have weights
  bool same() const {
    return same_structure && tensors_only_a.empty() && tensors_only_b.empty() && other_type.empty() && other_bytes.empty();
  }
};

/// Compares structures, tensors and, where both have weights, every byte of the tensors that share a name and type.
///
/// With `origins` (of `b`, a student of `a`) each block and tensor of `b` is compared with what it came from, so that
/// renumbered survivors count as what they are; names in the result are the teacher's.
/// Cost: reads both models' weights once, dropping pages behind. `progress(done, total)` in bytes.
ModelDiff diff_models(const model::Model& a, const model::Model& b, const OriginMap* origins = nullptr,
                      const std::function<void(uint64_t, uint64_t)>& progress = {});

struct PlanDiff {
  bool same_teacher = false;
  std::vector<Removal> only_a, only_b;
  std::vector<std::string> changed;  // same path, other stage or reason
  bool same() const { return same_teacher && only_a.empty() && only_b.empty() && changed.empty(); }
};
PlanDiff diff_plans(const RemovalPlan& a, const RemovalPlan& b);

}  // namespace espalier::prune
