#include "core/cli/recipe_plugins.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/distill/text_loss.h"
#include "core/io/toml_json.h"
#include "core/prune/exec_strategy.h"
#include "core/report/report.h"
#include "plugins/loss_adapter.h"
#include "plugins/metric_adapter.h"
#include "plugins/prune_adapter.h"

namespace espalier::cli {

namespace {

constexpr std::string_view kExec = "exec:";

std::string not_allowed(const std::filesystem::path& program) {
  return program.string() + " is a program, and one that a file names runs only with --allow-exec; look at it, then give that";
}

}  // namespace

void add_allow_exec(CLI::App* command, bool& allow) {
  command->add_flag("--allow-exec", allow, "let exec: start its program, which can do what you can");
}

PrunerUse::PrunerUse(const std::string& use, const std::vector<std::string>& sets, bool allow_exec,
                     const plugins::Registry& registry) {
  ErrorList errors;
  if (use.starts_with(kExec)) {
    if (use.size() == kExec.size()) throw UserError("[--use] exec: names no program; give exec:FILE");
    program_ = std::filesystem::absolute(use.substr(kExec.size()));
    if (!std::filesystem::is_regular_file(program_)) errors.add("[--use] " + program_.string() + " is not there");
    if (!allow_exec) errors.add("[--use] " + not_allowed(program_));
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const std::string& set : sets) {
      const size_t equals = set.find('=');
      if (equals == std::string::npos || equals == 0) {
        errors.add("[--set] '" + printable(set) + "' is not of the form k=v");
        continue;
      }
      try {
        json[set.substr(0, equals)] = io::json_of_text(set.substr(equals + 1));
      } catch (const toml::parse_error&) {
        json[set.substr(0, equals)] = set.substr(equals + 1);  // a word without quotes is text
      }
    }
    json_ = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  } else {
    component_ = &registry.find(plugins::kPruneKind, use);
    params_ = plugins::resolve_params(component_->params, {nullptr, "", {}, sets}, use, errors);
  }
  errors.throw_if_any();
}

std::unique_ptr<prune::PruneStrategy> PrunerUse::make() const {
  return component_ ? plugins::make_pruner(*component_, params_) : prune::exec_strategy(program_, json_);
}

RecipePlugins::RecipePlugins(const train::Recipe& recipe, const plugins::Registry& registry, ErrorList& errors, bool allow_exec) {
  for (const train::LossSpec& loss : recipe.losses)
    if (loss.plugin.file.empty())
      add(plugins::kLossKind, loss.plugin, train::loss_host_keys(), recipe, registry, errors);
    else
      add_text(loss.plugin, train::loss_host_keys(), recipe, errors);
  for (const train::MetricSpec& metric : recipe.metrics)
    add(plugins::kMetricKind, metric.plugin, train::metric_host_keys(), recipe, registry, errors);
  for (const train::StageSpec& stage : recipe.stages)
    if (stage.prune && stage.prune->file.empty())
      add(plugins::kPruneKind, *stage.prune, train::prune_host_keys(), recipe, registry, errors);
    else if (stage.prune)
      add_program(*stage.prune, allow_exec, errors);
}

void RecipePlugins::add(std::string_view kind, const train::PluginUse& use, const std::vector<std::string>& host_keys,
                        const train::Recipe& recipe, const plugins::Registry& registry, ErrorList& errors) {
  if (use.id.empty()) return;  // reported by the recipe's reader
  try {
    const plugins::Component& component = registry.find(kind, use.id);
    uses_.emplace(use.table,
                  Use{&component, plugins::resolve_params(component.params, {use.table, recipe.file.string(), host_keys, {}},
                                                          use.id, errors)});
  } catch (const UserError& error) {
    errors.add(use.place + ": " + error.what());
  }
}

void RecipePlugins::add_text(const train::PluginUse& use, const std::vector<std::string>& host_keys, const train::Recipe& recipe,
                             ErrorList& errors) {
  if (!std::filesystem::is_regular_file(use.file)) return;  // reported by the recipe's reader
  const std::string text = read_text(use.file);
  static const std::vector<plugins::ParamSpec> none;
  const auto& specs = distill::compares_features(text) ? plugins::text_loss_params() : none;
  plugins::ParamValues params = plugins::resolve_params(specs, {use.table, recipe.file.string(), host_keys, {}}, use.id, errors);
  try {
    distill::text_loss(text, use.file.string(), {});  // its faults, before anything runs
  } catch (const UserError& error) {
    errors.add(error.what());
  }
  uses_.emplace(use.table, Use{nullptr, std::move(params), text});
}

void RecipePlugins::add_program(const train::PluginUse& use, bool allow_exec, ErrorList& errors) {
  if (!allow_exec) errors.add(use.place + ": " + not_allowed(use.file));
  nlohmann::ordered_json json = io::json_of(*use.table);
  for (const std::string& key : train::prune_host_keys()) json.erase(key);
  uses_.emplace(use.table, Use{nullptr, {}, json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)});
}

train::Services services_of_run(CommandContext& context, const std::shared_ptr<const RecipePlugins>& plugins,
                                std::shared_ptr<lower::Backend> backend) {
  train::Services services;
  services.backend = std::move(backend);
  services.make_loss = [plugins](const train::PluginUse& use) {
    const RecipePlugins::Use& found = plugins->of(use);
    if (found.component == nullptr) return distill::text_loss(found.text, use.file.string(), plugins::pairs_of(found.params));
    return plugins::make_loss(*found.component, found.params);
  };
  services.make_pruner = [plugins](const train::PluginUse& use) {
    const RecipePlugins::Use& found = plugins->of(use);
    if (found.component == nullptr) return prune::exec_strategy(use.file, found.text);
    return plugins::make_pruner(*found.component, found.params);
  };
  services.make_metric = [plugins](const train::PluginUse& use) {
    return plugins::make_metric(*plugins->of(use).component, plugins->of(use).params);
  };
  services.say = [&context](const std::string& line) { say_notes(context, {line}); };
  services.report = report::write_report;
  return services;
}

}  // namespace espalier::cli
