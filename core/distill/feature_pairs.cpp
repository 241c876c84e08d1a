// Origins are asked for by block, and told by tensor: a block came from P where each of its tensors B.x came from P.x.

#include "core/distill/feature_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/walk.h"

namespace espalier::distill {
namespace {

using model::BlockRef;
using model::BlockTree;

std::vector<std::string> kinds_of(const std::string& granularity) {
  if (granularity == "block") return {"stage"};
  if (granularity == "sub-block") return {"resnet", "attention"};
  if (granularity == "layer") return {"resnet", "transformer_block"};
  if (granularity == "self-attention") return {"attn1"};
  throw UserError("[pairs] '" + printable(granularity) + "' is no granularity" + did_you_mean(granularity, granularities()) +
                  "; it is one of " + join(granularities(), ", "));
}

/// Paths that a graph can be tapped at.
std::vector<std::string> features_of(const BlockTree& tree) {
  static const std::set<std::string> kTapped{"stage", "mid_block", "resnet", "attention", "transformer_block", "attn1"};
  std::vector<std::string> paths;
  for (const BlockRef& ref : block_refs(tree))
    if (kTapped.count(ref.kind) > 0) paths.push_back(ref.path);
  return paths;
}

bool contains(const std::vector<std::string>& paths, const std::string& path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

std::vector<FeaturePair> checked(const BlockTree& teacher, const BlockTree& student, const std::vector<FeaturePair>& listed) {
  const std::vector<std::string> of_teacher = features_of(teacher), of_student = features_of(student);
  ErrorList errors;
  for (const FeaturePair& pair : listed) {
    const auto check = [&](const char* whose, const std::string& path, const std::vector<std::string>& known) {
      if (!contains(known, path))
        errors.add(fmt::format("[pairs] the {} has no feature '{}'{}", whose, printable(path), did_you_mean(path, known)));
    };
    check("teacher", pair.teacher, of_teacher);
    check("student", pair.student, of_student);
  }
  errors.throw_if_any();
  return listed;
}

/// The stage that a stage's first known resnet came from: a stage has no tensors of its own but its sampler's.
std::string stage_origin(const BlockTree& student, const std::string& stage, const std::map<std::string, std::string>& origins) {
  for (const BlockRef& ref : block_refs(student))
    if (ref.kind == "resnet" && is_inside(ref.path, stage))
      if (const auto at = origins.find(ref.path); at != origins.end()) return std::string(path_prefix(at->second, 1));
  return "";
}

bool ends_in_sampler(const BlockTree& tree, const std::string& stage) {
  const auto& side = stage.starts_with("up_blocks") ? tree.up : tree.down;
  const size_t index = std::stoul(stage.substr(stage.find('.') + 1));
  return index < side.size() && side[index].sampler;
}

}  // namespace

const std::vector<std::string>& granularities() {
  static const std::vector<std::string> kAll{"block", "sub-block", "layer", "self-attention"};
  return kAll;
}

std::map<std::string, std::string> block_origins(const BlockTree& student, const prune::OriginMap& origins) {
  std::map<std::string, std::string> found;
  for (const BlockRef& ref : block_refs(student)) {
    std::set<std::string> from;
    for (auto at = origins.tensors.lower_bound(ref.path + ".");
         at != origins.tensors.end() && at->first.starts_with(ref.path + "."); ++at) {
      // Tensors of a block inside this one may have come from a block with another number: they say nothing here.
      const std::string inner = at->first.substr(ref.path.size());
      if (ref.kind == "attention" && inner.starts_with(".transformer_blocks.")) continue;
      const bool same_end = at->second.ends_with(inner);
      from.insert(same_end ? at->second.substr(0, at->second.size() - inner.size()) : "");
    }
    if (from.size() == 1 && !from.begin()->empty()) found[ref.path] = *from.begin();
  }
  return found;
}

std::vector<FeaturePair> feature_pairs(const BlockTree& teacher, const BlockTree& student, const prune::OriginMap* origins,
                                       const PairsRequest& request, std::vector<std::string>* left_out) {
  if (request.granularity.empty()) return checked(teacher, student, request.listed);
  const std::vector<std::string> kinds = kinds_of(request.granularity);
  if (origins == nullptr && (request.granularity == "layer" || request.granularity == "self-attention"))
    throw UserError("[pairs] '" + request.granularity +
                    "' needs to know which teacher block each block came from: give a student folder with origin.json, as prune "
                    "writes it, or list the pairs");
  const std::map<std::string, std::string> known =
      origins != nullptr ? block_origins(student, *origins) : std::map<std::string, std::string>{};
  const std::vector<std::string> of_teacher = features_of(teacher);
  std::vector<FeaturePair> pairs;
  const auto add = [&](const std::string& from, const BlockRef& ref) {
    std::string why;
    if (from.empty())
      why = "its origin is not known";
    else if (!contains(of_teacher, from))
      why = "the teacher has no " + from;
    else if (ref.kind == "stage" && ends_in_sampler(teacher, from) != ends_in_sampler(student, ref.path))
      why = "only one of it and the teacher's " + from + " ends in a sampler";
    if (why.empty())
      pairs.push_back({from, ref.path});
    else if (left_out != nullptr)
      left_out->push_back(ref.path + ": " + why);
  };
  for (const BlockRef& ref : block_refs(student)) {
    if (ref.path == "mid_block" && teacher.mid)
      pairs.push_back(
          {"mid_block", student.mid->resnets.size() == 1 && !student.mid->attention ? "mid_block.resnets.0" : "mid_block"});
    if (is_inside(ref.path, "mid_block") || std::find(kinds.begin(), kinds.end(), ref.kind) == kinds.end()) continue;
    if (origins == nullptr)
      add(ref.origin, ref);
    else if (ref.kind == "stage")
      add(stage_origin(student, ref.path, known), ref);
    else if (const auto at = known.find(ref.path); at != known.end())
      add(at->second, ref);
    else
      add("", ref);
  }
  if (pairs.empty()) throw UserError("[pairs] no feature of the student has a counterpart in the teacher");
  return pairs;
}

}  // namespace espalier::distill
