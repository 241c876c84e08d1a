#pragma once
// The plugins of a recipe: found, with their parameters checked, and made into what a run needs.

#include <map>
#include <memory>
#include <string>

#include "core/cli/commands.h"
#include "core/train/services.h"
#include "plugins/registry.h"

namespace espalier::cli {

/// Adds --allow-exec to `command`.
void add_allow_exec(CLI::App* command, bool& allow);

/// A pruner that a command line names: a component's id, or exec:FILE.
class PrunerUse {
 public:
  /// `sets`: "k=v". Errors: UserError for an id that is not there (nearest), parameters at fault, a program without `allow_exec`.
  PrunerUse(const std::string& use, const std::vector<std::string>& sets, bool allow_exec, const plugins::Registry& registry);
  std::unique_ptr<prune::PruneStrategy> make() const;

 private:
  const plugins::Component* component_ = nullptr;  // null: a program
  plugins::ParamValues params_;
  std::filesystem::path program_;
  std::string json_;
};

/// The plugins that a recipe names. Shared by the services that make them; the recipe must outlive it.
class RecipePlugins {
 public:
  /// Faults go to `errors`: ids that are not there (nearest), parameters that are unknown, of a wrong type, out of range; a
  /// program without `allow_exec`.
  RecipePlugins(const train::Recipe& recipe, const plugins::Registry& registry, ErrorList& errors, bool allow_exec);

  struct Use {
    const plugins::Component* component;  // null: a loss as text, or a pruner as a program
    plugins::ParamValues params;
    std::string text = {};  // of the loss; of the program's parameters, as JSON
  };
  const Use& of(const train::PluginUse& use) const { return uses_.at(use.table); }

 private:
  void add_text(const train::PluginUse& use, const std::vector<std::string>& host_keys, const train::Recipe& recipe,
                ErrorList& errors);
  void add_program(const train::PluginUse& use, bool allow_exec, ErrorList& errors);
  void add(std::string_view kind, const train::PluginUse& use, const std::vector<std::string>& host_keys,
           const train::Recipe& recipe, const plugins::Registry& registry, ErrorList& errors);
  std::map<const toml::table*, Use> uses_;
};

/// What a run of the recipe needs: its plugins, `backend`, notes on stderr, the report.
train::Services services_of_run(CommandContext& context, const std::shared_ptr<const RecipePlugins>& plugins,
                                std::shared_ptr<lower::Backend> backend);

}  // namespace espalier::cli
