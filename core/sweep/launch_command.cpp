#include "core/sweep/launch_command.h"

#include <algorithm>
#include <cctype>

#include "core/base/child.h"
#include "core/base/text.h"

namespace espalier::sweep {
namespace {

const std::vector<std::string> kPlaces = {"command", "remote", "slot", "id", "cwd"};

/// Calls `found(begin, end, name)` for each {name} of lower-case letters that is no ${name}.
template <typename Found>
void each_place(const std::string& text, Found found) {
  for (size_t begin = text.find('{'); begin != std::string::npos; begin = text.find('{', begin + 1)) {
    if (begin > 0 && text[begin - 1] == '$') continue;
    const size_t end = text.find('}', begin);
    if (end == std::string::npos) return;
    const std::string name = text.substr(begin + 1, end - begin - 1);
    const auto letter = [](unsigned char c) { return std::islower(c) != 0; };
    if (!name.empty() && std::all_of(name.begin(), name.end(), letter)) found(begin, end + 1, name);
  }
}

/// One command with arguments: no list, no pipe, no assignment before it.
bool is_one_command(const std::string& text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos || text.find_first_of(";&|()<>`\n") != std::string::npos) return false;
  const std::string word = text.substr(first, text.find(' ', first) - first);
  const std::vector<std::string> own = {"exec", "!", "{", "if", "for", "while", "until", "case", "eval", "time", "."};
  return word.find('=') == std::string::npos && std::find(own.begin(), own.end(), word) == own.end();
}

}  // namespace

void check_template(const std::string& text, ErrorList& errors) {
  bool has_worker = false;
  each_place(text, [&](size_t, size_t, const std::string& name) {
    has_worker = has_worker || name == "command" || name == "remote";
    if (std::find(kPlaces.begin(), kPlaces.end(), name) != kPlaces.end()) return;
    if (const std::string near = did_you_mean(name, kPlaces); !near.empty())
      errors.add("[--command] nothing is put in for {" + printable(name) + "}" + near);
  });
  if (text.find('\n') != std::string::npos) errors.add("[--command] the command must be one line");
  if (!has_worker)
    errors.add("[--command] '" + printable(text) +
               "' has no {command}, which stands for the worker's command line (or {remote}, the same as one word for ssh)");
}

std::vector<std::string> by_template(const std::string& text, const std::vector<std::string>& worker, int64_t slot,
                                     const std::string& id, const std::filesystem::path& cwd) {
  const std::string command = shell_line(worker), folder = shell_quoted(cwd.string());
  std::string line;
  size_t from = 0;
  each_place(text, [&](size_t begin, size_t end, const std::string& name) {
    if (begin < from || std::find(kPlaces.begin(), kPlaces.end(), name) == kPlaces.end()) return;
    line += text.substr(from, begin - from);
    line += name == "command"  ? command
            : name == "remote" ? shell_quoted("cd " + folder + " && exec " + command)
            : name == "slot"   ? std::to_string(slot)
            : name == "id"     ? id
                               : folder;
    from = end;
  });
  line += text.substr(from);
  // A trap with a command is not handed on to what the shell starts, and lets the shell wait for it.
  return {"/bin/sh", "-c", (is_one_command(text) ? "exec " : "trap : TERM INT\n") + line};
}

}  // namespace espalier::sweep
