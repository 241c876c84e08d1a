#pragma once
// One trial: a recipe with settings laid over it, named by its hash.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/sweep/sweep_file.h"
#include "core/train/recipe.h"

namespace espalier::sweep {

struct Trial {
  std::string id;                                             // 16 hex digits of the sha256 of `recipe`
  std::string name;                                           // for people: of its [[list]] row
  std::vector<std::pair<std::string, std::string>> settings;  // path → value as TOML, in the file's order
  std::string recipe;                                         // resolved
  int64_t planned_steps = 0;
  std::vector<std::string> prefixes;  // hash of what its first 1, 2, … stages depend on; not of all of them
  bool operator==(const Trial&) const = default;
};

/// What else a recipe is checked for: its plugins and their parameters.
using CheckRecipe = std::function<void(const train::Recipe&, ErrorList&)>;

/// The base of `file` with the settings of one point. Faults go to `errors`, with the places of the settings.
train::Recipe recipe_of(const SweepFile& file, const std::vector<Setting>& settings, ErrorList& errors);

/// Every trial of the file. Each fault once, however many trials have it; that two points are one recipe is a fault.
std::vector<Trial> make_trials(const SweepFile& file, const CheckRecipe& check, ErrorList& errors);
Trial make_trial(const Point& point, const train::Recipe& recipe);

/// "name lr=0.001 seed=2": the settings that tell it from the others, shortened to the last parts of their paths.
std::string label_of(const Trial& trial);

/// A trial as a line of JSON, and back. Errors: UserError naming `place` for another text.
std::string to_json_line(const Trial& trial);
Trial from_json_line(const std::string& line, const std::string& place);

}  // namespace espalier::sweep
