#include "core/train/stage_plan.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::train {
namespace {

constexpr int32_t kMostCalls = 10'000;

/// Every row that the strategy asks for on this student, in its order, until it says that it is done.
prune::RemovalPlan whole_plan(prune::PruneStrategy& pruner, const Student& student, uint64_t seed) {
  return prune::run_strategy(pruner, student.structure().tree, student.weights(), seed);
}

}  // namespace

prune::RemovalPlan stage_plan(prune::PruneStrategy& pruner, const Student& student, uint64_t seed, int64_t, int64_t attempt) {
  const model::BlockTree& tree = student.structure().tree;
  if (attempt == 0) return whole_plan(pruner, student, seed);
  const std::vector<prune::Unit> units = prune::list_units(tree);
  prune::StrategyRows rows;
  for (int32_t call = 0;; ++call) {
    if (call == kMostCalls) throw UserError("[" + pruner.id() + "] does not say when it is done");
    prune::StrategyRows more = pruner.next({units, model::write_config(tree.config), student.weights(), call, seed, {}});
    rows.rows.insert(rows.rows.end(), more.rows.begin(), more.rows.end());
    if (more.done) break;
  }
  for (int64_t i = 0; i < attempt; ++i) {
    std::vector<prune::StrategyRows::Row> half;
    for (size_t k = 1; k < rows.rows.size(); k += 2) half.push_back(rows.rows[k]);
    rows.rows = std::move(half);
  }
  return prune::plan_of(tree, units, rows, pruner.id());
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
