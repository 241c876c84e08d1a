// Every command lets CLI11 collect what it does not know, so that all faults of a line are reported together and with
// the nearest names; CLI11's own texts never reach the user.

#include "core/cli/parse_errors.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::cli {
namespace {

/// The command that was asked for: the innermost one that was parsed.
const CLI::App& innermost(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

std::string place(const CLI::App& command) {
  std::string name;
  for (const CLI::App* at = &command; at->get_parent() != nullptr; at = at->get_parent())
    name = at->get_name() + (name.empty() ? "" : " ") + name;
  return name.empty() ? "[espalier] " : "[" + name + "] ";
}

std::string see_help(const CLI::App& command) {
  std::string name = "espalier ";
  if (const std::string where = place(command); command.get_parent() != nullptr) name += where.substr(1, where.size() - 3) + " ";
  return "; see '" + name + "--help'";
}

std::string shown(const CLI::Option& option) { return option.get_positional() ? option.get_name(true) : option.get_name(); }

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options({}))
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

/// "INT" → "an integer": the type names that CLI11 makes, in words; ours are left as they are.
std::string wanted_type(const CLI::Option& option) {
  std::string type = option.get_type_name();
  if (type == "INT") return "an integer";
  if (type == "UINT") return "a non-negative integer";
  if (type == "FLOAT") return "a number";
  return type;
}

std::string positionals(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options({}))
    if (option->get_positional()) names.push_back(option->get_name(true));
  return names.empty() ? "no arguments" : join(names, " ");
}

void collect_leftovers(const CLI::App& command, ErrorList& errors) {
  const std::vector<std::string> left = command.remaining();
  const std::vector<std::string> commands = command_names(command);
  bool after_option = false;  // what follows an unknown option is most likely its value
  for (const std::string& word : left) {
    const bool is_option = word.size() > 1 && word.front() == '-';
    if (is_option) {
      const std::string name = word.substr(0, word.find('='));
      const std::string hint = did_you_mean(name, option_names(command));
      errors.add(place(command) + "unknown option '" + printable(name) + "'" + (hint.empty() ? see_help(command) : hint));
    } else if (!commands.empty()) {
      const std::string hint = did_you_mean(word, commands);
      errors.add(place(command) + "unknown command '" + printable(word) + "'" +
                 (hint.empty() ? "; the commands are " + join(commands, ", ") : hint));
      return;  // the rest belongs to the command that was meant
    } else if (!after_option) {
      errors.add(place(command) + "unexpected argument '" + printable(word) + "'; it takes " + positionals(command));
    }
    after_option = is_option && word.find('=') == std::string::npos;
  }
}

/// The option that a message of CLI11 is about: the one whose name stands at its place in the text.
const CLI::Option* option_in(const CLI::App& command, const std::string& message) {
  const CLI::Option* found = nullptr;
  for (const CLI::Option* option : command.get_options({})) {
    std::string name = shown(*option);
    if (!option->get_positional() && option->get_items_expected_max() == 0)
      name = option->get_single_name();  // "json", of a flag
    if (message.find(name) != std::string::npos && (found == nullptr || name.size() > shown(*found).size())) found = option;
  }
  return found;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  if (const size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

}  // namespace

void refuse_leftovers(const CLI::App& app) {
  ErrorList errors;
  for (const CLI::App* at = &app;; at = at->get_subcommands().front()) {
    collect_leftovers(*at, errors);
    if (at->get_subcommands().empty()) break;
  }
  errors.throw_if_any();
}

void throw_parse_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = innermost(app);
  const std::string message = error.what();
  ErrorList errors;
  collect_leftovers(command, errors);
  const CLI::Option* option = option_in(command, message);
  const std::string type = error.get_name();
  if (type == "RequiredError") {
    bool named = false;
    for (const CLI::Option* wanted : command.get_options({})) {
      if (!wanted->get_required() || wanted->count() > 0) continue;
      errors.add(place(command) + shown(*wanted) + " is missing: " + wanted->get_description());
      named = true;
    }
    if (!named && errors.empty()) {
      const std::vector<std::string> commands = command_names(command);
      errors.add(place(command) + (commands.empty() ? message : "a command is missing: " + join(commands, ", ")));
    }
  } else if (type == "ConversionError" && option != nullptr) {
    const std::vector<std::string>& given = option->results();
    errors.add(place(command) + shown(*option) + " wants " + wanted_type(*option) + ", not '" + printable(join(given, " ")) +
               "'");
  } else if (type == "ArgumentMismatch" && option != nullptr) {
    const int wanted = option->get_items_expected_max();
    const std::string name = place(command) + shown(*option);
    if (wanted == 0)
      errors.add(name + " takes no value");
    else if (wanted > 1)
      errors.add(name + " needs " + std::to_string(wanted) + " values: " + wanted_type(*option));
    else if (option->count() > 1)
      errors.add(name + " was given " + std::to_string(option->count()) + " times; give it once");
    else
      errors.add(name + " needs a value: " + wanted_type(*option));
  } else if (type == "ExcludesError") {
    errors.add(place(command) + replaced(message, " excludes ", " cannot be used with "));
  } else if (type == "RequiresError") {
    errors.add(place(command) + replaced(message, " requires ", " also needs "));
  } else {
    errors.add(place(command) + message + see_help(command));
  }
  errors.throw_if_any();
  throw UserError(place(command) + message);
}

}  // namespace espalier::cli
