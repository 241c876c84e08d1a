// Surgery on the block tree. Regions are cut out and the lists close up; nothing that stays is edited, because every
// region that may go leaves the hidden state and the surviving skips as they were (check_cut.cpp).

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/prune/cut.h"

namespace espalier::prune {
namespace {

using model::BlockTree;

template <typename T, typename Keep>
void keep_if(std::vector<T>& items, Keep keep) {
  std::vector<T> kept;
  for (size_t i = 0; i < items.size(); ++i)
    if (keep(i)) kept.push_back(std::move(items[i]));
  items = std::move(kept);
}

void cut_attention(std::optional<model::Attention>& attention, const LayerCut& cut) {
  if (!attention) return;
  if (cut.attention != kKept)
    attention.reset();
  else
    keep_if(attention->blocks, [&](size_t i) { return cut.blocks.count(i) == 0; });
}

void cut_stage(model::Stage& stage, const StageCut& cut) {
  for (size_t i = 0; i < stage.layers.size(); ++i) cut_attention(stage.layers[i].attention, cut.layers[i]);
  keep_if(stage.layers, [&](size_t i) { return cut.layers[i].resnet == kKept; });
  if (cut.sampler != kKept) {
    stage.sampler = false;
    stage.sampler_origin.clear();
  }
  stage.cross_attention =
      std::any_of(stage.layers.begin(), stage.layers.end(), [](const model::Layer& l) { return l.attention.has_value(); });
}

BlockTree cut_tree(const BlockTree& teacher, const Cut& cut) {
  BlockTree tree = teacher;
  for (const Side side : {Side::kDown, Side::kUp}) {
    auto& stages = side == Side::kUp ? tree.up : tree.down;
    for (size_t i = 0; i < stages.size(); ++i) cut_stage(stages[i], cut.side(side)[i]);
    keep_if(stages, [&](size_t i) { return cut.side(side)[i].whole == kKept; });
  }
  if (!tree.mid) return tree;
  if (cut.mid.whole != kKept) {
    tree.mid.reset();
    return tree;
  }
  cut_attention(tree.mid->attention, cut.mid.layers[0]);
  keep_if(tree.mid->resnets, [&](size_t i) { return cut.mid.layers[i].resnet == kKept; });
  return tree;
}

/// Why a plan made for another structure cannot be applied.
std::string other_teacher(const std::string& wanted, const std::string& found) {
  return fmt::format(
      "the plan is for teacher {}, this model's structure is {}; prune the model that the plan was made for, or make a "
      "new plan with --use",
      wanted, found);
}

}  // namespace

BlockTree apply_plan(const BlockTree& teacher, const RemovalPlan& plan, std::string_view file, Expressible expressible) {
  if (const std::string hash = model::structure_hash(teacher.config); plan.teacher != hash)
    throw UserError(fmt::format("{}: {}", file, other_teacher(plan.teacher, hash)));
  PlanErrors errors{plan, std::string(file), {}};
  Cut cut = lay_rows(teacher, errors);
  errors.list.throw_if_any();
  check_cut(teacher, cut, expressible, errors);
  errors.list.throw_if_any();
  BlockTree tree = cut_tree(teacher, cut);
  try {
    tree.config = model::config_of(tree);
  } catch (UserError& error) {
    if (expressible == Expressible::kPadded) return tree;
    error.add_context(fmt::format("while applying {}", file));
    throw;
  }
  return tree;
}

RemovalPlan in_teacher_order(const BlockTree& teacher, RemovalPlan plan) {
  std::vector<std::string> order;
  for (const model::BlockRef& ref : model::block_refs(teacher)) order.push_back(ref.path);
  const auto rank = [&](const Removal& r) { return std::find(order.begin(), order.end(), r.path) - order.begin(); };
  std::stable_sort(plan.removals.begin(), plan.removals.end(), [&](const Removal& a, const Removal& b) {
    return a.stage != b.stage ? a.stage < b.stage : rank(a) < rank(b);
  });
  return plan;
}

}  // namespace espalier::prune
