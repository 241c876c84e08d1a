#pragma once
// The plugins of a recipe: found, with their parameters checked, and made into what a run needs.

#include <map>
#include <memory>
#include <string>

#include "core/cli/commands.h"
#include "core/train/services.h"
#include "plugins/registry.h"

namespace espalier::cli {

/// The plugins that a recipe names. Shared by the services that make them; the recipe must outlive it.
class RecipePlugins {
 public:
  /// Faults go to `errors`: ids that are not there (nearest), parameters that are unknown, of a wrong type, out of range.
  RecipePlugins(const train::Recipe& recipe, const plugins::Registry& registry, ErrorList& errors);

  struct Use {
    const plugins::Component* component;  // null: a loss as text
    plugins::ParamValues params;
    std::string text = {};
  };
  const Use& of(const train::PluginUse& use) const { return uses_.at(use.table); }

 private:
  void add_text(const train::PluginUse& use, const std::vector<std::string>& host_keys, const train::Recipe& recipe,
                ErrorList& errors);
  void add(std::string_view kind, const train::PluginUse& use, const std::vector<std::string>& host_keys,
           const train::Recipe& recipe, const plugins::Registry& registry, ErrorList& errors);
  std::map<const toml::table*, Use> uses_;
};

/// What a run of the recipe needs: its plugins, `backend`, notes on stderr, the report.
train::Services services_of_run(CommandContext& context, const std::shared_ptr<const RecipePlugins>& plugins,
                                std::shared_ptr<lower::Backend> backend);

}  // namespace espalier::cli
