#pragma once
// The commands under `espalier plugin`, one file each.

#include <filesystem>
#include <string>

#include "core/cli/commands.h"

namespace espalier::cli {

/// Of list, show, why.
struct PluginOptions {
  std::string id;
  bool json = false;
};

void plugin_list(const PluginOptions& options, CommandContext& context);
void plugin_show(const PluginOptions& options, CommandContext& context);
void plugin_why(const PluginOptions& options, CommandContext& context);

void add_plugin_new(CLI::App& plugin, CommandContext& context);
void add_plugin_check(CLI::App& plugin, CommandContext& context);
void add_plugin_schema(CLI::App& plugin, CommandContext& context);
void add_plugin_lock(CLI::App& plugin, CommandContext& context);

}  // namespace espalier::cli
