#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/io/memory_source.h"
#include "core/prune/strategy.h"

namespace espalier::prune {
namespace {

/// The teacher's weights under the student's names.
io::TensorSourcePtr student_weights(const model::BlockTree& student, const io::TensorSourcePtr& weights) {
  if (weights == nullptr) return nullptr;
  std::vector<std::pair<std::string, std::string>> renames;
  for (const model::TensorSpec& spec : model::tensor_specs(student)) renames.emplace_back(spec.name, spec.origin);
  return std::make_shared<io::RenamedTensorSource>(weights, std::move(renames));
}

}  // namespace

RemovalPlan plan_of(const model::BlockTree& tree, const std::vector<Unit>& units, const StrategyRows& rows,
                    const std::string& id) {
  RemovalPlan plan{model::structure_hash(tree.config), {}, rows.notes};
  std::vector<std::string> paths;
  for (const Unit& unit : units) paths.push_back(unit.path);
  ErrorList errors;
  std::set<std::string> taken;
  for (const StrategyRows::Row& row : rows.rows) {
    const auto unit =
        std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.path == row.path && u.kind == row.kind; });
    if (unit == units.end()) {
      errors.add(
          fmt::format("[{}] removes '{}', which is no such unit of this model{}", id, row.path, did_you_mean(row.path, paths)));
      continue;
    }
    if (!unit->removable) {
      errors.add(fmt::format("[{}] removes {}, which cannot go alone: {}", id, row.path, unit->why_not));
      continue;
    }
    for (const std::string& path : unit->rows)
      if (taken.insert(path).second) plan.removals.push_back({path, 0, row.reason, 0, 0});
  }
  errors.throw_if_any();
  return in_teacher_order(tree, std::move(plan));
}

void PruneStrategy::load(const std::string& state) {
  if (!state.empty()) throw UserError("[" + id() + "] has no state of its own and cannot take one back");
}

Asked run_strategy(PruneStrategy& strategy, const model::BlockTree& model, const AskOptions& options) {
  Asked out{{model::structure_hash(model.config), {}, {}}, {}, options.asked, false};
  model::BlockTree student = model;
  for (int32_t call = 0; call < options.most; ++call) {
    const std::vector<Unit> units = list_units(student);
    StrategyInput input{units, &student, price_of(student), model::write_config(student.config),
                        student_weights(student, options.weights)};
    input.stage = out.asked;
    input.seed = options.seed;
    input.metrics = options.metrics;
    if (options.calibrate) input.calibration = options.calibrate(student, input.weights);
    StrategyRows rows = strategy.next(input);
    ++out.asked;
    out.done = rows.done;
    for (auto& [name, bytes] : rows.artifacts) out.artifacts[name] = std::move(bytes);
    const RemovalPlan step = plan_of(student, units, rows, strategy.id());
    const model::BlockTree next = apply_plan(student, step, strategy.id(), options.expressible);
    out.plan = call == 0 ? step : compose(model, out.plan, step, options.expressible);
    student = next;
    if (out.done || !options.to_the_end) return out;
  }
  throw UserError(
      fmt::format("[{}] asked for more than {} stages; a pruner must say when it is done", strategy.id(), options.most));
}

}  // namespace espalier::prune
