// One page per command, always in this order: usage, what it is for, arguments, options, examples, exit codes.

#include "core/cli/help.h"

#include <sstream>

namespace espalier::cli {
namespace {

constexpr size_t kWidth = 100;
constexpr size_t kColumn = 30;
constexpr const char* kCommonExitCodes =
    "0 done, 1 failed, 2 the input is at fault (the message says what, where, and what to do), 3 interrupted";

class Formatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    std::string text = "Usage: espalier " + usage(app) + "\n\n" + wrapped(app->get_description(), kWidth, 0) + "\n";
    text += section(app, "Arguments", [](const CLI::Option* option) { return option->get_positional(); });
    if (!app->get_subcommands({}).empty()) {
      text += "\nCommands:\n";
      for (const CLI::App* command : app->get_subcommands({}))
        text += row(command->get_name(), first_line(command->get_footer()));
    }
    text += section(app, "Options",
                    [](const CLI::Option* option) { return option->nonpositional() && option->get_group() != kCommon; });
    text += section(app, kCommon,
                    [](const CLI::Option* option) { return option->nonpositional() && option->get_group() == kCommon; });
    const std::string footer = app->get_footer();
    const size_t end_of_summary = footer.find('\n');
    if (end_of_summary != std::string::npos) text += footer.substr(end_of_summary + 1);
    return text;
  }

  static constexpr const char* kCommon = "Common options";

 private:
  static std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

  static std::string usage(const CLI::App* app) {
    std::string text;
    for (const CLI::App* at = app; at->get_parent() != nullptr; at = at->get_parent()) text = at->get_name() + " " + text;
    if (!app->get_subcommands({}).empty()) text += "COMMAND ";
    for (const CLI::Option* option : app->get_options({})) {
      const bool optional = !option->get_required();
      if (option->get_positional())
        text += (optional ? "[" : "") + option->get_name(true) + (optional ? "] " : " ");
      else if (!optional)
        text += option->get_name() + " " + option->get_type_name() + " ";
    }
    return text + "[options]";
  }

  static std::string row(const std::string& left, const std::string& doc) {
    std::string text = "  " + left;
    if (text.size() + 2 > kColumn)
      text += "\n" + std::string(kColumn, ' ');
    else
      text.resize(kColumn, ' ');
    const std::string body = wrapped(doc, kWidth - kColumn, kColumn);
    return text + (body.size() > kColumn ? body.substr(kColumn) : "") + "\n";
  }

  template <typename Keep>
  static std::string section(const CLI::App* app, const std::string& title, Keep&& keep) {
    std::string text;
    for (const CLI::Option* option : app->get_options({})) {
      if (!keep(option) || option->get_group().empty()) continue;
      std::string left = option->get_positional() ? option->get_name(true) : option->get_name(false, true);
      if (!option->get_positional()) {
        for (size_t at = left.find(','); at != std::string::npos; at = left.find(',', at + 2)) left.replace(at, 1, ", ");
        if (option->get_items_expected_max() > 0) left += " " + option->get_type_name();
      }
      text += row(left, option->get_description());
    }
    return text.empty() ? text : "\n" + title + ":\n" + text;
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<Formatter>(); }

std::string overview(const CLI::App& app) {
  std::string text =
      "espalier makes diffusion UNets smaller: it removes blocks from a Stable Diffusion (XL) UNet and keeps what\n"
      "is left a model that diffusers and ComfyUI open.\n\nUsage: espalier COMMAND [arguments] [options]\n\nCommands:\n";
  for (const CLI::App* command : app.get_subcommands({})) {
    std::string name = "  " + command->get_name();
    name.resize(14, ' ');
    const std::string footer = command->get_footer();
    text += name + footer.substr(0, footer.find('\n')) + "\n";
  }
  return text +
         "\nespalier COMMAND --help   what a command does, its options and examples\n"
         "espalier --version        the version of this program and of its plugin ABI\n";
}

std::string footer_of(const CommandHelp& help) {
  std::string text = help.summary + "\n";
  if (!help.examples.empty()) text += "\nExamples:\n";
  for (const CommandHelp::Example& example : help.examples)
    text += "  " + example.line + "\n" + wrapped(example.meaning, kWidth - 6, 6) + "\n";
  return text + "\nExit codes: " + (help.exit_codes.empty() ? kCommonExitCodes : help.exit_codes) + "\n";
}

std::string wrapped(const std::string& text, size_t width, size_t indent) {
  std::istringstream words(text);
  std::string result, line(indent, ' '), word;
  bool fresh = true;
  while (words >> word) {
    if (!fresh && line.size() + 1 + word.size() > width + indent) {
      result += line + "\n";
      line.assign(indent, ' ');
      fresh = true;
    }
    line += (fresh ? "" : " ") + word;
    fresh = false;
  }
  return result + line;
}

}  // namespace espalier::cli
