#include "core/passes/pass.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ops/registry.h"

namespace espalier::passes {

bool accepts_everything(const OpCall&) { return true; }
bool accepts_nothing(const OpCall&) { return false; }

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
  return [accepted](const OpCall& call) { return std::find(accepted.begin(), accepted.end(), call.op) != accepted.end(); };
}

}  // namespace espalier::passes
