#pragma once
// The units that a pruner which scores them may remove, so that some config can say what is left.

#include <espalier/sdk.hpp>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace strategies {

/// Every removable transformer block, and the mid block's tail: attention and second resnet.
inline esp::unit_set candidates(const esp::prune_view& model) {
  esp::unit_set units;
  for (const esp::unit& u : model.units())
    if (u.removable() && (u.kind() == ESP_UNIT_TRANSFORMER_BLOCK || u.kind() == ESP_UNIT_MID_TAIL)) units.push_back(u);
  return units;
}

/// One of the two ways to treat the mid block. A config gives it the depth of the last down stage's first attention module: while
/// it stays, neither may lose a block; where its tail goes, the others are free and its own blocks go along.
struct MidChoice {
  const esp::unit* tail = nullptr;  // goes; null: the mid block stays as it is
  std::vector<size_t> free;         // indices of units that may go, in the model's order
};

/// The ways that there are; `may_go`: whether the tail may.
inline std::vector<MidChoice> mid_choices(const esp::prune_view& model, const esp::unit_set& units, bool may_go) {
  std::string_view mid, coupled;
  for (const esp::unit& u : model.units())
    if (u.kind() == ESP_UNIT_ATTENTION && u.path().rfind("mid_block.", 0) == 0) mid = u.path();
  std::string_view last_stage;
  for (const esp::unit& u : model.units()) {
    if (u.module().empty() && u.path().rfind("down_blocks.", 0) == 0) last_stage = u.path();
    if (u.kind() == ESP_UNIT_ATTENTION && u.module() == last_stage && u.index() == 0) coupled = u.path();
  }
  if (coupled.rfind(last_stage, 0) != 0) coupled = {};
  const esp::unit* tail = nullptr;
  for (const esp::unit& u : units)
    if (u.kind() == ESP_UNIT_MID_TAIL) tail = &u;
  MidChoice stays, goes{tail, {}};
  for (size_t i = 0; i < units.size(); ++i) {
    const std::string_view module = units[i].module();
    if (units[i].kind() != ESP_UNIT_TRANSFORMER_BLOCK) continue;
    if (mid.empty() || (module != mid && module != coupled)) stays.free.push_back(i);
    if (module != mid) goes.free.push_back(i);
  }
  std::vector<MidChoice> choices{stays};
  if (tail != nullptr && may_go) choices.push_back(goes);
  return choices;
}

/// scores.csv beside the result: what the choice was made on.
inline void keep_scores(const esp::prune_view& model, const esp::unit_set& units, const std::vector<double>& scores) {
  std::string text = "path,kind,parameters,score\n";
  for (size_t i = 0; i < units.size(); ++i) {
    char number[40];
    std::snprintf(number, sizeof number, "%.9g", scores[i]);
    text += std::string(units[i].path()) + (units[i].kind() == ESP_UNIT_MID_TAIL ? ",mid-tail," : ",transformer-block,") +
            std::to_string(units[i].parameters()) + "," + number + "\n";
  }
  model.keep_file("scores.csv", text);
}

/// Units that go, in the model's order, each with its score as the reason; `what` names the score.
inline void write_rows(esp::prune_plan& out, const esp::unit_set& units, const std::vector<bool>& gone,
                       const std::vector<double>& scores, const char* what) {
  for (size_t i = 0; i < units.size(); ++i) {
    if (!gone[i]) continue;
    char reason[80];
    std::snprintf(reason, sizeof reason, "%s %.3g", what, scores[i]);
    out.remove(units[i], reason);
  }
}

}  // namespace strategies
