#include "core/sweep/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/sweep/axes.h"
#include "core/train/overrides.h"
#include "core/train/stage_prefix.h"

namespace espalier::sweep {
namespace {

constexpr size_t kIdDigits = 16;

std::string hash_of(const std::string& text) { return sha256_hex(text).substr(0, kIdDigits); }

/// "lr" of "train.optimizer.lr"; where rows are numbered, which one: "loss.1.weight".
std::string short_path(const std::string& path) {
  const std::vector<std::string> parts = split(path, '.');
  const auto is_number = [](const std::string& part) { return part.find_first_not_of("0123456789") == std::string::npos; };
  for (size_t i = 1; i < parts.size(); ++i)
    if (is_number(parts[i])) return path;
  return parts.back();
}

}  // namespace

train::Recipe recipe_of(const SweepFile& file, const std::vector<Setting>& settings, ErrorList& errors) {
  // Parsed anew: nodes know their places only as long as they are not copied.
  auto root = std::make_shared<toml::table>(io::parse_toml(file.base_text, file.base.string()));
  toml::table sweep = io::parse_toml(file.text, file.file.string());
  std::vector<const Setting*> order;
  for (const Setting& setting : settings) order.push_back(&setting);
  // What sets a whole table comes before what sets a key of it.
  const auto depth = [](const Setting* setting) { return std::count(setting->path.begin(), setting->path.end(), '.'); };
  std::stable_sort(order.begin(), order.end(), [&](const Setting* a, const Setting* b) { return depth(a) < depth(b); });
  for (const Setting* setting : order)
    train::lay_over(*root, setting->path, std::move(node_of(sweep, *setting, file.file.string())), setting->place, errors);
  return train::recipe_of_table(file.base, std::move(root), errors);
}

Trial make_trial(const Point& point, const train::Recipe& recipe) {
  Trial trial;
  trial.name = point.name;
  for (const Setting& setting : point.settings) trial.settings.emplace_back(setting.path, setting.text);
  trial.recipe = train::resolved_text(recipe);
  trial.id = hash_of(trial.recipe);
  trial.planned_steps = recipe.planned_steps();
  for (size_t stages = 1; stages < recipe.stages.size(); ++stages)
    trial.prefixes.push_back(hash_of(train::prefix_text(recipe, stages)));
  return trial;
}

std::vector<Trial> make_trials(const SweepFile& file, const CheckRecipe& check, ErrorList& errors) {
  std::vector<Trial> trials;
  if (file.base_text.empty()) return trials;  // reported
  const bool touches_losses = std::any_of(file.points.begin(), file.points.end(), [](const Point& point) {
    return std::any_of(point.settings.begin(), point.settings.end(),
                       [](const Setting& setting) { return setting.path == "loss" || setting.path.rfind("loss.", 0) == 0; });
  });
  if (touches_losses && !file.has_objective)
    errors.add(file.file.string() +
               ": the trials have other losses or weights, so their totals say nothing of each other; give an [objective], as in "
               "metric = \"val/output\"");
  const bool sound = errors.empty();  // else axes that are wrong would be said once more as equal trials
  std::set<std::string> said;
  std::map<std::string, size_t> by_id;
  for (const Point& point : file.points) {
    ErrorList faults;
    const train::Recipe recipe = recipe_of(file, point.settings, faults);
    check(recipe, faults);
    for (const std::string& fault : faults.messages())
      if (said.insert(fault).second) errors.add(fault);
    if (!faults.empty()) continue;
    Trial trial = make_trial(point, recipe);
    if (const auto [at, fresh] = by_id.emplace(trial.id, trials.size()); !fresh && sound) {
      const std::string place = point.settings.empty() ? file.file.string() : point.settings.back().place;
      errors.add(
          fmt::format("{}: two trials are the same recipe: '{}' and '{}'", place, label_of(trials[at->second]), label_of(trial)));
    }
    trials.push_back(std::move(trial));
  }
  return trials;
}

std::string label_of(const Trial& trial) {
  std::string text = printable(trial.name);
  for (const auto& [path, value] : trial.settings) {
    if (!trial.name.empty() && value[0] == '[') continue;  // lists of losses and stages: what the name stands for
    text += (text.empty() ? "" : " ") + short_path(path) + "=" + printable(value, 60);
  }
  return text;
}

std::string to_json_line(const Trial& trial) {
  nlohmann::ordered_json settings = nlohmann::ordered_json::array();
  for (const auto& [path, value] : trial.settings) settings.push_back({path, value});
  return nlohmann::ordered_json{{"id", trial.id},
                                {"name", trial.name},
                                {"settings", std::move(settings)},
                                {"planned_steps", trial.planned_steps},
                                {"prefixes", trial.prefixes},
                                {"recipe", trial.recipe}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Trial from_json_line(const std::string& line, const std::string& place) {
  try {
    const nlohmann::json json = nlohmann::json::parse(line);
    Trial trial;
    trial.id = json.at("id").get<std::string>();
    trial.name = json.at("name").get<std::string>();
    for (const nlohmann::json& each : json.at("settings"))
      trial.settings.emplace_back(each.at(0).get<std::string>(), each.at(1).get<std::string>());
    trial.planned_steps = json.at("planned_steps").get<int64_t>();
    trial.prefixes = json.at("prefixes").get<std::vector<std::string>>();
    trial.recipe = json.at("recipe").get<std::string>();
    return trial;
  } catch (const nlohmann::json::exception& error) {
    throw UserError(place + ": is no trial of a sweep: " + printable(error.what(), 200));
  }
}

}  // namespace espalier::sweep
