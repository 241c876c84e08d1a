// plan.toml. Reading keeps the comment lines at the head as notes and nothing else of the text, so that writing a plan
// that was read gives the same bytes again when the file was written here.

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/io/toml.h"
#include "core/prune/removal_plan.h"

namespace espalier::prune {
namespace {

constexpr int64_t kFormat = 1;
constexpr int64_t kMostStages = 1'000'000;

bool is_structure_hash(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  if (text.substr(0, kPrefix.size()) != kPrefix || text.size() != kPrefix.size() + 64) return false;
  return text.substr(kPrefix.size()).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Comment lines before the first other line, without "# ".
std::vector<std::string> head_comments(std::string_view toml) {
  std::vector<std::string> notes;
  for (const std::string& line : split(toml, '\n')) {
    if (line.empty() || line[0] != '#') break;
    notes.push_back(line.substr(line.size() > 1 && line[1] == ' ' ? 2 : 1));
    if (!notes.back().empty() && notes.back().back() == '\r') notes.back().pop_back();
  }
  return notes;
}

Removal read_row(const toml::table& table, const std::string& file, size_t index, ErrorList& errors) {
  io::TomlReader row(table, file, fmt::format("[[remove]] row {}", index), errors);
  Removal removal;
  row.require("path");
  removal.path = row.string("path").value_or("");
  if (row.has("path")) {
    removal.line = static_cast<int>(table.get("path")->source().begin.line);
    removal.column = static_cast<int>(table.get("path")->source().begin.column);
    if (table.get("path")->is_string() && removal.path.empty())
      row.fault("path", "path is empty; name a block such as \"mid_block\"");
  }
  removal.stage = row.integer("stage").value_or(0);
  if (removal.stage < 0 || removal.stage > kMostStages) row.fault("stage", fmt::format("stage must be 0 to {}", kMostStages));
  removal.reason = row.string("reason").value_or("");
  row.finish();
  return removal;
}

/// A TOML basic string.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
        else
          out += c;
    }
  }
  return out + "\"";
}

}  // namespace

RemovalPlan parse_plan(std::string_view toml, std::string_view file) {
  const toml::table root = io::parse_toml(toml, file);
  const std::string name(file);
  ErrorList errors;
  io::TomlReader plan_table(root, name, "removal plan", errors);
  RemovalPlan plan;
  plan.notes = head_comments(toml);
  plan_table.require("format");
  if (const auto format = plan_table.integer("format"); format && *format != kFormat)
    plan_table.fault("format", fmt::format("format {} is not known; this espalier reads format {}", *format, kFormat));
  plan_table.require("teacher");
  if (const auto teacher = plan_table.string("teacher")) {
    plan.teacher = *teacher;
    if (!is_structure_hash(*teacher))
      plan_table.fault("teacher", "teacher must be \"sha256:\" and 64 hex digits: what `inspect --json` prints as \"structure\"");
  }
  size_t index = 0;
  for (const toml::table* row : plan_table.tables("remove")) plan.removals.push_back(read_row(*row, name, ++index, errors));
  plan_table.finish();
  errors.throw_if_any();
  return plan;
}

RemovalPlan read_plan(const std::filesystem::path& file) { return parse_plan(read_text(file), file.string()); }

std::string write_plan(const RemovalPlan& plan) {
  std::string text;
  for (const std::string& note : plan.notes)
    for (const std::string& line : split(note, '\n')) text += line.empty() ? "#\n" : "# " + line + "\n";
  text += fmt::format("format = {}\nteacher = {}\n", kFormat, toml_string(plan.teacher));
  for (const Removal& removal : plan.removals)
    text += fmt::format("\n[[remove]]\npath = {}\nstage = {}\nreason = {}\n", toml_string(removal.path), removal.stage,
                        toml_string(removal.reason));
  return text;
}

}  // namespace espalier::prune
