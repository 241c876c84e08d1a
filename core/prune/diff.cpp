#include "core/prune/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "core/base/interrupt.h"
#include "core/prune/block_address.h"

namespace espalier::prune {
namespace {

using model::BlockTree;

/// What a user would say of a block: enough to see a difference in structure that its path does not show.
std::map<std::string, std::string> describe_blocks(const BlockTree& tree, const std::map<std::string, std::string>& origins) {
  std::map<std::string, std::string> blocks;
  for (const model::BlockRef& ref : model::block_refs(tree)) {
    const auto at = locate(tree, ref.path);
    std::string text = ref.kind;
    if (at && at->part == Part::kAttention) {
      const model::Attention& attention = *attention_at(tree, *at);
      text = fmt::format("{} transformer blocks, {} wide, {} heads, context {}", attention.blocks.size(), attention.channels,
                         attention.heads, attention.cross_dim);
    } else if (at && at->part == Part::kResnet) {
      const model::Resnet& resnet =
          at->side == Side::kMid ? tree.mid->resnets[at->layer] : stages_of(tree, at->side)[at->stage].layers[at->layer].resnet;
      text = fmt::format("resnet {} → {}", resnet.in_channels, resnet.out_channels);
    }
    const auto origin = origins.find(ref.path);
    blocks.emplace(origin == origins.end() ? ref.path : origin->second, std::move(text));
  }
  return blocks;
}

/// Paths of `a` that `b` lacks, without those inside another such path.
std::vector<std::string> outermost_missing(const std::map<std::string, std::string>& a,
                                           const std::map<std::string, std::string>& b) {
  std::vector<std::string> missing;
  for (const auto& block : a) {
    const std::string& path = block.first;
    if (b.count(path) > 0) continue;
    const bool inside =
        std::any_of(missing.begin(), missing.end(), [&](const std::string& outer) { return is_within(path, outer); });
    if (!inside) missing.push_back(path);
  }
  return missing;
}

/// Block paths of a student by the origins of its tensors: a tensor and its origin end alike inside their block.
std::map<std::string, std::string> block_origins(const BlockTree& student, const OriginMap& map) {
  std::map<std::string, std::string> origins;
  for (const model::TensorSpec& spec : model::tensor_specs(student)) {
    const auto found = map.tensors.find(spec.name);
    if (found == map.tensors.end() || spec.path.empty()) continue;
    const std::string rest = spec.name.substr(spec.path.size());
    if (found->second.size() <= rest.size()) continue;
    std::string path = spec.path, origin = found->second.substr(0, found->second.size() - rest.size());
    // The blocks around it, outwards as long as both paths have one.
    while (origins.emplace(path, origin).second) {
      const size_t cut = path.rfind('.'), origin_cut = origin.rfind('.');
      if (cut == std::string::npos || origin_cut == std::string::npos) break;
      path.resize(cut);
      origin.resize(origin_cut);
    }
  }
  return origins;
}

/// One tensor under the name that it is compared by.
struct Compared {
  std::string own_name;
  TensorType type;
};

std::map<std::string, Compared> tensors_of(const model::Model& model, const OriginMap* origins) {
  std::map<std::string, Compared> tensors;
  for (const model::TensorSpec& spec : model::tensor_specs(model.tree)) {
    std::string name = spec.name;
    if (origins != nullptr)
      if (const auto found = origins->tensors.find(name); found != origins->tensors.end()) name = found->second;
    tensors.emplace(name, Compared{spec.name, model.has_weights() ? model.weights->get(spec.name).type
                                                                  : TensorType{DType::kNone, spec.shape}});
  }
  return tensors;
}

int64_t parameters_of(const model::Model& model) {
  int64_t parameters = 0;
  for (const model::TensorSpec& spec : model::tensor_specs(model.tree)) parameters += spec.shape.elements();
  return parameters;
}

}  // namespace

ModelDiff diff_models(const model::Model& a, const model::Model& b, const OriginMap* origins,
                      const std::function<void(uint64_t, uint64_t)>& progress) {
  ModelDiff diff;
  diff.hash_a = model::structure_hash(a.tree.config);
  diff.hash_b = model::structure_hash(b.tree.config);
  diff.same_structure = diff.hash_a == diff.hash_b;
  diff.parameters_a = parameters_of(a);
  diff.parameters_b = parameters_of(b);
  diff.compared_weights = a.has_weights() && b.has_weights();

  const auto renamed = origins != nullptr ? block_origins(b.tree, *origins) : std::map<std::string, std::string>{};
  const auto blocks_a = describe_blocks(a.tree, {}), blocks_b = describe_blocks(b.tree, renamed);
  diff.only_a = outermost_missing(blocks_a, blocks_b);
  diff.only_b = outermost_missing(blocks_b, blocks_a);
  for (const auto& [path, text] : blocks_a)
    if (const auto other = blocks_b.find(path); other != blocks_b.end() && other->second != text)
      diff.changed_blocks.push_back(fmt::format("{}: {}; {}", path, text, other->second));

  const auto tensors_a = tensors_of(a, nullptr), tensors_b = tensors_of(b, origins);
  std::vector<std::pair<std::string, std::string>> common;  // names in a and in b
  uint64_t total = 0, done = 0;
  const auto text = [&](const TensorType& type) { return diff.compared_weights ? to_string(type) : to_string(type.shape); };
  for (const auto& [name, tensor] : tensors_a) {
    const auto other = tensors_b.find(name);
    if (other == tensors_b.end()) {
      diff.tensors_only_a.push_back(name);
    } else if (text(tensor.type) != text(other->second.type)) {
      diff.other_type.push_back(fmt::format("{}: {}; {}", name, text(tensor.type), text(other->second.type)));
    } else {
      common.emplace_back(name, other->second.own_name);
      total += tensor.type.bytes();
    }
  }
  for (const auto& [name, tensor] : tensors_b)
    if (tensors_a.count(name) == 0) diff.tensors_only_b.push_back(name);
  if (!diff.compared_weights) return diff;
  for (const auto& [name, own_name] : common) {
    check_interrupt();
    const io::TensorRef left = a.weights->get(name), right = b.weights->get(own_name);
    const bool equal =
        left.bytes.size() == right.bytes.size() && std::memcmp(left.bytes.data(), right.bytes.data(), left.bytes.size()) == 0;
    if (equal) {
      ++diff.equal_tensors;
      diff.equal_bytes += left.bytes.size();
    } else {
      diff.other_bytes.push_back(name);
    }
    a.weights->drop_pages(name);
    b.weights->drop_pages(own_name);
    done += left.bytes.size();
    if (progress) progress(done, total);
  }
  return diff;
}

PlanDiff diff_plans(const RemovalPlan& a, const RemovalPlan& b) {
  PlanDiff diff;
  diff.same_teacher = a.teacher == b.teacher;
  const auto find = [](const RemovalPlan& plan, const std::string& path) {
    return std::find_if(plan.removals.begin(), plan.removals.end(), [&](const Removal& r) { return r.path == path; });
  };
  for (const Removal& row : a.removals) {
    const auto other = find(b, row.path);
    if (other == b.removals.end()) {
      diff.only_a.push_back(row);
      continue;
    }
    if (other->stage != row.stage) diff.changed.push_back(fmt::format("{}: stage {}; {}", row.path, row.stage, other->stage));
    if (other->reason != row.reason)
      diff.changed.push_back(fmt::format("{}: reason \"{}\"; \"{}\"", row.path, row.reason, other->reason));
  }
  for (const Removal& row : b.removals)
    if (find(a, row.path) == a.removals.end()) diff.only_b.push_back(row);
  return diff;
}

}  // namespace espalier::prune
