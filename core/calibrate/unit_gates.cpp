#include "core/calibrate/unit_gates.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/model/unet_graph.h"

namespace espalier::calibrate {

UnitGates::UnitGates(const model::BlockTree& tree) : paths_(model::gate_units(tree)), units_(prune::list_units(tree)) {}

const prune::Unit& UnitGates::find(const prune::UnitName& unit) const {
  const auto found = std::find_if(units_.begin(), units_.end(),
                                  [&](const prune::Unit& u) { return u.path == unit.path && u.kind == unit.kind; });
  if (found == units_.end()) {
    std::vector<std::string> known;
    for (const prune::Unit& u : units_) known.push_back(u.path);
    const bool other_kind = std::find(known.begin(), known.end(), unit.path) != known.end();
    throw UserError(other_kind ? "calibration: '" + printable(unit.path) + "' is not a unit of that kind"
                               : "calibration: there is no unit '" + printable(unit.path) + "'" + did_you_mean(unit.path, known));
  }
  if (!found->removable) throw UserError("calibration: '" + unit.path + "' cannot be removed: " + found->why_not);
  return *found;
}

std::vector<size_t> UnitGates::of(const prune::UnitName& unit) const {
  std::vector<size_t> gates;
  for (const std::string& row : find(unit).rows) {
    if (row == "mid_block") {  // its parts one after another are the whole
      for (size_t i = 0; i < paths_.size(); ++i) {
        const std::string rest = paths_[i].rfind("mid_block.", 0) == 0 ? paths_[i].substr(10) : "";
        if (!rest.empty() && std::count(rest.begin(), rest.end(), '.') == 1) gates.push_back(i);
      }
      continue;
    }
    const auto at = std::find(paths_.begin(), paths_.end(), row);
    if (at == paths_.end())
      throw UserError("calibration: '" + unit.path + "' has no gate (" + row +
                      " changes the shape of the hidden state), so that it cannot be tried without surgery");
    gates.push_back(static_cast<size_t>(at - paths_.begin()));
  }
  std::sort(gates.begin(), gates.end());
  gates.erase(std::unique(gates.begin(), gates.end()), gates.end());
  return gates;
}

}  // namespace espalier::calibrate
