#include "core/cli/recipe_plugins.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/distill/text_loss.h"
#include "core/report/report.h"
#include "plugins/loss_adapter.h"
#include "plugins/prune_adapter.h"

namespace espalier::cli {

RecipePlugins::RecipePlugins(const train::Recipe& recipe, const plugins::Registry& registry, ErrorList& errors) {
  for (const train::LossSpec& loss : recipe.losses)
    if (loss.plugin.file.empty())
      add(plugins::kLossKind, loss.plugin, train::loss_host_keys(), recipe, registry, errors);
    else
      add_text(loss.plugin, train::loss_host_keys(), recipe, errors);
  for (const train::StageSpec& stage : recipe.stages)
    if (stage.prune) add(plugins::kPruneKind, *stage.prune, train::prune_host_keys(), recipe, registry, errors);
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
    return plugins::make_pruner(*plugins->of(use).component, plugins->of(use).params);
  };
  services.say = [&context](const std::string& line) { say_notes(context, {line}); };
  services.report = report::write_report;
  return services;
}

}  // namespace espalier::cli
