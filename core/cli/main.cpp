// The one binary. Nothing here knows a command: they come from command_list.def.

#include <espalier/plugin.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/cli/commands.h"
#include "core/cli/help.h"
#include "core/cli/parse_errors.h"

namespace espalier::cli {

CLI::App* begin_command(CLI::App& parent, CommandContext& context, const CommandHelp& help) {
  CLI::App* command = parent.add_subcommand(help.name, help.description);
  command->allow_extras();  // refuse_leftovers names them all
  command->footer(footer_of(help));
  command->formatter(help_formatter());
  command->set_help_flag("-h,--help", "show this text")->group("Common options");
  one_each(command->add_option("--plugin", context.plugin_files, "also load this plugin, before all others; repeatable"))
      ->type_name("FILE")
      ->group("Common options");
  command
      ->add_option_function<std::string>(
          "--plugin-lock",
          [](const std::string& file) {
            ::setenv("ESPALIER_PLUGIN_LOCK", std::filesystem::absolute(file).c_str(),
                     1);  // workers that this program starts go by it too
          },
          "load only plugins whose content this file names (`plugin lock` writes it)")
      ->type_name("FILE")
      ->group("Common options");
  command
      ->add_flag_callback(
          "-v,--verbose", [&context] { ++context.verbosity; }, "say more on stderr")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group("Common options");
  command
      ->add_flag_callback(
          "-q,--quiet", [&context] { context.verbosity = -1; }, "errors only on stderr, no progress")
      ->group("Common options");
  return command;
}

CLI::Option* one_each(CLI::Option* option) { return option->expected(1)->allow_extra_args(false)->take_all(); }

CLI::Option* add_out(CLI::App* command, std::filesystem::path& out, const std::string& what) {
  return command->add_option("-o,--out", out, what)->type_name("PATH");
}

void on_run(CLI::App* command, CommandContext& context, std::function<void()> action) {
  for (CLI::Option* option : command->get_options())
    if (option->get_items_expected_max() == 0) option->disable_flag_override();  // --json=3 is a mistake, not "true"
  command->callback([&context, action = std::move(action)] { context.action = action; });
}

void say_notes(CommandContext& context, const std::vector<std::string>& notes) {
  if (context.verbosity < 0) return;
  for (const std::string& note : notes) context.err << "espalier: note: " << printable(note, 4 * note.size() + 4) << '\n';
}

namespace {

/// One line per fault. Whatever came from files or the command line is made safe for a terminal here, once for all.
void print_error(std::ostream& err, const std::string& text) {
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    err << "espalier: " << printable(text.substr(begin, end - begin), 4 * text.size()) << '\n';
    begin = end + 1;
  }
}

int run(int argc, char** argv, CommandContext& context) {
  CLI::App app("espalier", "espalier");
  app.allow_extras();
  app.require_subcommand(0, 1);
  app.set_help_flag("-h,--help", "");
  app.set_version_flag("--version", "espalier " ESPALIER_VERSION " (plugin ABI " + std::to_string(ESP_ABI_MAJOR) + "." +
                                        std::to_string(ESP_ABI_MINOR) + ")");
#define ESP_COMMAND(name) add_##name(app, context);
#include "core/cli/command_list.def"
#undef ESP_COMMAND
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() > 1 && words[0] == "help") {  // help inspect → inspect --help
    words.erase(words.begin());
    words.push_back("--help");
  }
  std::reverse(words.begin(), words.end());  // the order that CLI11 wants
  try {
    app.parse(words);
    refuse_leftovers(app);
  } catch (const CLI::CallForHelp&) {
    context.out << (app.get_subcommands().empty() ? overview(app) : app.help());
    return 0;
  } catch (const CLI::CallForVersion& version) {
    context.out << version.what() << '\n';
    return 0;
  } catch (const CLI::ParseError& error) {
    throw_parse_error(app, error);
  }
  if (!context.action) {
    context.out << (app.get_subcommands().empty() ? overview(app) : app.help());
    return 0;
  }
  log::configure_from_environment(context.verbosity);
  context.action();
  return context.exit_code;
}

}  // namespace
}  // namespace espalier::cli

int main(int argc, char** argv) {
  espalier::catch_interrupts();
  espalier::cli::CommandContext context{std::cout, std::cerr, {}, 0, 0, {}};
  int code = 1;
  try {
    code = espalier::cli::run(argc, argv, context);
    std::cout.flush();
    if (!std::cout) throw espalier::Error("[stdout] cannot write the result: is the disk full or the reader gone");
  } catch (const espalier::Error& error) {
    espalier::cli::print_error(std::cerr, error.what());
    code = error.exit_code();
  } catch (const std::bad_alloc&) {
    espalier::cli::print_error(std::cerr, "[memory] the system refused memory that this command needs");
  } catch (const std::exception& error) {
    espalier::cli::print_error(std::cerr,
                               std::string("[internal] ") + error.what() + "; this is a bug in espalier, please report it");
  }
  return code;
}
