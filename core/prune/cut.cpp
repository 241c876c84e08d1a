#include "core/prune/cut.h"

#include <fmt/format.h>

#include <map>

#include "core/base/text.h"

namespace espalier::prune {
namespace {

Cut empty_cut(const model::BlockTree& tree) {
  Cut cut;
  for (const Side side : {Side::kDown, Side::kUp})
    for (const model::Stage& stage : stages_of(tree, side)) cut.side(side).emplace_back().layers.resize(stage.layers.size());
  if (tree.mid) cut.mid.layers.resize(std::max<size_t>(tree.mid->resnets.size(), 1));
  return cut;
}

void lay_row(Cut& cut, const BlockAddress& at, Row row) {
  StageCut& stage = at.side == Side::kMid ? cut.mid : cut.side(at.side)[at.stage];
  switch (at.part) {
    case Part::kStage:
    case Part::kMidBlock:
      stage.whole = row;
      return;
    case Part::kSampler:
      stage.sampler = row;
      return;
    case Part::kResnet:
      stage.layers[at.layer].resnet = row;
      return;
    case Part::kAttention:
      stage.layers[at.layer].attention = row;
      return;
    case Part::kTransformerBlock:
      stage.layers[at.layer].blocks[at.block] = row;
      return;
    case Part::kInsideBlock:
      return;
  }
}

std::vector<std::string> removable_paths(const model::BlockTree& tree) {
  std::vector<std::string> paths;
  for (const model::BlockRef& ref : model::block_refs(tree))
    if (ref.kind != "attn1" && ref.kind != "attn2" && ref.kind != "ff") paths.push_back(ref.path);
  return paths;
}

}  // namespace

void PlanErrors::at(Row row, const std::string& message) {
  const Removal& removal = plan.removals[static_cast<size_t>(row)];
  list.add(removal.line > 0 ? fmt::format("{}:{}:{}: {}", file, removal.line, removal.column, message)
                            : fmt::format("{}: {}", file, message));
}

Cut lay_rows(const model::BlockTree& teacher, PlanErrors& errors) {
  Cut cut = empty_cut(teacher);
  std::map<std::string, Row> seen;
  for (Row row = 0; row < static_cast<Row>(errors.plan.removals.size()); ++row) {
    const std::string& path = errors.plan.removals[static_cast<size_t>(row)].path;
    const std::optional<BlockAddress> at = locate(teacher, path);
    if (!at) {
      errors.at(row,
                fmt::format("the teacher has no block '{}'{}", printable(path), did_you_mean(path, removable_paths(teacher))));
      continue;
    }
    if (at->part == Part::kInsideBlock) {
      errors.at(row, fmt::format("'{}' is a part of a transformer block; remove the block {}", path, path_of(*at)));
      continue;
    }
    if (const auto [first, fresh] = seen.emplace(path, row); !fresh) {
      const int line = errors.plan.removals[static_cast<size_t>(first->second)].line;
      errors.at(row, line > 0 ? fmt::format("{} is removed twice; line {} already removes it", path, line)
                              : fmt::format("{} is removed twice", path));
      continue;
    }
    lay_row(cut, *at, row);
  }
  for (const auto& [path, row] : seen)
    for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1))
      if (const auto outer = seen.find(path.substr(0, dot)); outer != seen.end())
        errors.at(row, fmt::format("{} lies inside {}, which the plan removes whole; drop this row", path, outer->first));
  return cut;
}

}  // namespace espalier::prune
