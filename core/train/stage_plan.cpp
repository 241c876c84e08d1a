#include "core/train/stage_plan.h"

#include <fmt/format.h>

#include <functional>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::train {
namespace {

constexpr int32_t kMostCalls = 10'000;

/// Every row that the strategy asks for on this student, in its order, until it says that it is done.
prune::RemovalPlan whole_plan(prune::PruneStrategy& pruner, const Student& student, uint64_t seed) {
  return prune::run_strategy(pruner, student.structure().tree, student.weights(), seed);
}

using Rows = std::vector<prune::StrategyRows::Row>;

/// Whether `rows` leave a structure that a config can say.
bool applies(const model::BlockTree& tree, const std::vector<prune::Unit>& units, const Rows& rows, const std::string& id) {
  try {
    prune::StrategyRows asked;
    asked.rows = rows;
    prune::apply_plan(tree, prune::plan_of(tree, units, asked, id), id);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

/// About half of `rows`, spread evenly: every second one. Where that leaves what no config can say (blocks whose depths are
/// coupled), one more of the rows may complete it, or the other half is taken; empty when none of these applies.
Rows half_of(const Rows& rows, const std::function<bool(const Rows&)>& fits) {
  for (size_t first : {1, 0}) {
    Rows half, rest;
    for (size_t k = 0; k < rows.size(); ++k) (k % 2 == first ? half : rest).push_back(rows[k]);
    if (half.size() >= rows.size()) continue;  // of a single row: nothing is half of it
    if (half.empty() || fits(half)) return half;
    for (const auto& row : rest) {
      if (half.size() + 1 >= rows.size()) break;
      half.push_back(row);
      if (fits(half)) return half;
      half.pop_back();
    }
  }
  return {};
}

}  // namespace

prune::RemovalPlan stage_plan(prune::PruneStrategy& pruner, const Student& student, uint64_t seed, int64_t attempt) {
  const model::BlockTree& tree = student.structure().tree;
  if (attempt == 0) return whole_plan(pruner, student, seed);
  const std::vector<prune::Unit> units = prune::list_units(tree);
  Rows rows;
  for (int32_t call = 0;; ++call) {
    if (call == kMostCalls) throw UserError("[" + pruner.id() + "] does not say when it is done");
    prune::StrategyRows more = pruner.next({units, model::write_config(tree.config), student.weights(), call, seed, {}});
    rows.insert(rows.end(), more.rows.begin(), more.rows.end());
    if (more.done) break;
  }
  for (int64_t i = 0; i < attempt; ++i)
    rows = half_of(rows, [&](const Rows& half) { return applies(tree, units, half, pruner.id()); });
  prune::StrategyRows asked;
  asked.rows = std::move(rows);
  return prune::plan_of(tree, units, asked, pruner.id());
}

std::string gate_text(const Gate& gate) {
  return gate.below ? fmt::format("{} below {}", gate.metric, *gate.below) : fmt::format("{} above {}", gate.metric, *gate.above);
}

bool meets(const Gate& gate, float value) { return gate.below ? value < *gate.below : value > *gate.above; }

std::optional<float> find(const NamedNumbers& numbers, const std::string& key) {
  for (const auto& [name, number] : numbers)
    if (name == key) return number;
  return std::nullopt;
}

void throw_no_metric(const Gate& gate, const NamedNumbers& numbers) {
  std::vector<std::string> keys;
  for (const auto& [name, number] : numbers) keys.push_back(name);
  const bool held_out = gate.metric.rfind("val/", 0) == 0;
  std::string text = "[until] there is no metric '" + printable(gate.metric) + "'" + did_you_mean(gate.metric, keys);
  if (held_out) text += "; val/ metrics need [data] validation_rows";
  throw UserError(text);
}

}  // namespace espalier::train
