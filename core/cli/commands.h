#pragma once
// What every subcommand is written against. A command is one file cmd_<name>.cpp with one function add_<name>, and one
// line in command_list.def; it declares its options with CLI11 and hands `on_run` what to do.
//
//   void add_prune(CLI::App& app, CommandContext& context) {
//     auto options = std::make_shared<Options>();
//     CLI::App* command = begin_command(app, context, {.name = "prune", .summary = "…", .description = "…",
//                                                      .examples = {{"espalier prune sdxl --use … -o out", "what it does"}}});
//     command->add_option("MODEL", options->model, "…")->required();
//     one_each(command->add_option("--set", options->set, "…")->type_name("k=v"));   // a list: repeat the option
//     on_run(command, context, [options, &context] { run_prune(*options, context); });
//   }
//
// Results go to `context.out` (stdout), progress and remarks to stderr (`context.err`, core/base/log.h, core/base/progress.h).
// Faults are thrown: UserError is exit code 2, any other Error its own code. A command that finished but has to say "no"
// (diff that found differences) sets `context.exit_code`. Paths that name files stay std::string or std::filesystem::path.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace espalier::cli {

/// Options that every command has, and where it writes. Lives as long as the process.
struct CommandContext {
  std::ostream& out;
  std::ostream& err;
  std::vector<std::filesystem::path> plugin_files;  // --plugin FILE, in order; searched before all other places
  int verbosity = 0;                                // -v: 1, -vv: 2; --quiet: -1
  int exit_code = 0;                                // what the process returns when the command returns normally
  std::function<void()> action;                     // set by on_run when the command line was parsed
};

/// The teaching part of a command's help.
struct CommandHelp {
  struct Example {
    std::string line;     // what a user types
    std::string meaning;  // what it does
  };
  std::string name;
  std::string summary;      // one line of the overview: lower case, no full stop
  std::string description;  // one paragraph, wrapped when printed
  std::vector<Example> examples = {};
  std::string exit_codes = {};  // in place of the common line "0 done, 1 failed, 2 …"
};

/// Adds a subcommand with its help, --plugin, --verbose, --quiet. `parent` is the app, or a command with commands of its own.
CLI::App* begin_command(CLI::App& parent, CommandContext& context, const CommandHelp& help);
/// Makes a list option take one value for each time that it is given, so that positionals may follow it.
CLI::Option* one_each(CLI::Option* option);
/// -o, --out: the same words everywhere. `what`: "the student's folder, which must not exist".
CLI::Option* add_out(CLI::App* command, std::filesystem::path& out, const std::string& what);
/// What to do once the whole command line is known to be right.
void on_run(CLI::App* command, CommandContext& context, std::function<void()> action);

/// Remarks on stderr, one line each, made safe for a terminal; none with --quiet.
void say_notes(CommandContext& context, const std::vector<std::string>& notes);

#define ESP_COMMAND(name) void add_##name(CLI::App& app, CommandContext& context);
#include "core/cli/command_list.def"
#undef ESP_COMMAND

}  // namespace espalier::cli
