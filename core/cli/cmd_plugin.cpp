#include <memory>

#include "core/cli/commands.h"
#include "core/cli/plugin_commands.h"

namespace espalier::cli {

void add_plugin(CLI::App& app, CommandContext& context) {
  CLI::App* plugin = begin_command(
      app, context,
      {.name = "plugin",
       .summary = "which pruners, losses, metrics and backends there are; new ones, and whether they keep the contracts",
       .description =
           "Plugins are shared libraries called NAME.esp.so. They are looked for in this order: --plugin FILE, the folders of "
           "ESPALIER_PLUGIN_PATH, the user's folder (~/.local/share/espalier/plugins), and the folder that espalier was "
           "installed to or built in. Every file gets a verdict with a reason; a plugin is native code with your rights.",
       .examples = {{"espalier plugin list", "every component, and every file that was refused"},
                    {"espalier plugin show espalier.prune.first-k", "one component and its parameters"},
                    {"espalier plugin why cpu", "every folder, file and verdict"},
                    {"espalier plugin new loss --lang cpp --id com.acme.loss.mine -o mine", "a project that builds and passes"},
                    {"espalier plugin check mine/build/mine.esp.so", "the contracts, each test in its own process"}}});
  plugin->require_subcommand(0, 1);
  const auto add = [&](const CommandHelp& help, bool takes_id, void (*action)(const PluginOptions&, CommandContext&)) {
    auto options = std::make_shared<PluginOptions>();
    CLI::App* command = begin_command(*plugin, context, help);
    if (takes_id) command->add_option("ID", options->id, "a component's id, such as espalier.prune.first-k")->required();
    command->add_flag("--json", options->json, "print one JSON object");
    on_run(command, context, [options, &context, action] { action(*options, context); });
  };
  add({.name = "list",
       .summary = "every component, and every file that was refused",
       .description = "Loads every plugin of the search order and prints what it offers, or why it was refused."},
      false, plugin_list);
  add({.name = "show",
       .summary = "one component and its parameters",
       .description = "Prints what a component does and its parameters: kind, default, range, meaning."},
      true, plugin_show);
  add({.name = "why",
       .summary = "every folder, file and verdict",
       .description =
           "Prints every place that was searched and what became of every file, the ones that concern ID marked with *. "
           "Exit code 2 when no file offers ID."},
      true, plugin_why);
  add_plugin_new(*plugin, context);
  add_plugin_check(*plugin, context);
  add_plugin_schema(*plugin, context);
  add_plugin_lock(*plugin, context);
}

}  // namespace espalier::cli
