#pragma once
// Which feature of the teacher a feature of the student is compared with.

#include <map>
#include <string>
#include <vector>

#include "core/model/block_tree.h"
#include "core/prune/student_files.h"

namespace espalier::distill {

/// Block paths of two features of equal shape.
struct FeaturePair {
  std::string teacher, student;
  bool operator==(const FeaturePair&) const = default;
};

/// What a loss asks for: a granularity, or pairs that the user listed.
struct PairsRequest {
  bool wanted = false;
  std::string granularity;  // block | sub-block | layer | self-attention; empty: listed
  std::vector<FeaturePair> listed;
};

/// block, sub-block, layer, self-attention.
const std::vector<std::string>& granularities();

/// The pairs of `request`, in the student's execution order.
///
/// block: stages; sub-block: resnets and attention modules; layer: resnets and transformer blocks; self-attention: attn1 of
/// the transformer blocks, each in the down and up stages. The mid block gives one pair whatever the granularity: the teacher's
/// whole mid output with the student's mid block, or with its one resnet. A block pairs with its origin: by `origins`
/// (origin.json), else by the origins that the student's tree carries; without a map a tree from a config pairs by name. Errors:
/// UserError when `layer` or `self-attention` is asked for without `origins` (a block's number says nothing once blocks before it
/// are gone), when a listed path is no feature of its model (nearest), or when no pair is found. `left_out`, where given, gets a
/// line for each feature of that granularity that has no counterpart: its origin is not known or gone, or one of two stages ends
/// in a sampler and the other does not, so that their outputs differ in size. Source: Gupta et al. 2024, arXiv 2401.02677; the
/// mid pair as in Segmind's training script.
std::vector<FeaturePair> feature_pairs(const model::BlockTree& teacher, const model::BlockTree& student,
                                       const prune::OriginMap* origins, const PairsRequest& request,
                                       std::vector<std::string>* left_out = nullptr);

/// For each block of `student` that `origins` knows a tensor of: the block path in the teacher that these tensors came from.
/// A block whose tensors came from several places has none.
std::map<std::string, std::string> block_origins(const model::BlockTree& student, const prune::OriginMap& origins);

}  // namespace espalier::distill
