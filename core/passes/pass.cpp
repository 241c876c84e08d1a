#include "core/passes/pass.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ops/registry.h"

namespace espalier::passes {

bool accepts_everything(const OpCall&, const std::vector<bool>&) { return true; }
bool accepts_nothing(const OpCall&, const std::vector<bool>&) { return false; }

std::vector<bool> params_among(const Graph& graph, std::span<const Value> operands, size_t count) {
  std::vector<bool> is_param(count, false);
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!operands[i].present()) continue;
    const Node* def = &graph.def(operands[i]);
    while (def->kind == NodeKind::kOp && def->is(ops::reshape_def)) def = &graph.def(def->inputs[0]);
    is_param[i] = def->kind == NodeKind::kParam;
  }
  return is_param;
}

Accepts accepts_named(std::span<const std::string> ops) {
  if (ops.size() == 1 && ops[0] == "all") return accepts_everything;
  if (ops.size() == 1 && ops[0] == "none") return accepts_nothing;
  std::vector<std::string> known{"all", "none"};
  for (const OpDef* def : ops::all()) known.emplace_back(*def->name);
  ErrorList errors;
  std::vector<const OpDef*> accepted;
  for (const std::string& name : ops) {
    accepted.push_back(ops::find(name));
    if (accepted.back() == nullptr) errors.add("[opt] no op is called '" + printable(name) + "'" + did_you_mean(name, known));
  }
  errors.throw_if_any();
  return [accepted](const OpCall& call, const std::vector<bool>&) {
    return std::find(accepted.begin(), accepted.end(), call.op) != accepted.end();
  };
}

}  // namespace espalier::passes
