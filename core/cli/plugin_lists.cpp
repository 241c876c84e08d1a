#include "core/cli/plugin_commands.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/sha256.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/cli/commands.h"
#include "plugins/registry.h"

namespace espalier::cli {
namespace {

using nlohmann::ordered_json;
using plugins::Component;
using plugins::ParamSpec;
using plugins::Registry;
using plugins::Verdict;
using terminal::Table;

Registry registry_of(const CommandContext& context) { return Registry(plugins::request_of_process(context.plugin_files)); }

std::string hash_of(const std::filesystem::path& file) {
  try {
    return sha256_of_file(file);
  } catch (const UserError&) {
    return "";  // its verdict says why it cannot be read
  }
}

ordered_json json_of(const ParamSpec& spec) {
  ordered_json out{{"name", spec.name}, {"kind", plugins::kind_text(spec)}, {"doc", spec.doc}, {"required", spec.required}};
  if (!spec.required) out["default"] = plugins::default_text(spec);
  if (const std::string range = plugins::range_text(spec); !range.empty()) out["range"] = range;
  if (!spec.choices.empty()) out["choices"] = spec.choices;
  return out;
}

ordered_json json_of(const Component& component) {
  ordered_json out{{"id", component.id}, {"kind", component.kind}, {"doc", component.doc}, {"usable", component.known_kind}};
  out["parameters"] = ordered_json::array();
  for (const ParamSpec& spec : component.params) out["parameters"].push_back(json_of(spec));
  return out;
}

ordered_json json_of(const Verdict& verdict) {
  ordered_json out{{"file", verdict.file.string()},
                   {"origin", verdict.origin},
                   {"status", verdict.ok ? "ok" : "refused"},
                   {"reason", verdict.reason},
                   {"bytes", verdict.file_bytes},
                   {"sha256", hash_of(verdict.file)},
                   {"id", verdict.id},
                   {"version", verdict.version},
                   {"vendor", verdict.vendor},
                   {"license", verdict.license}};
  out["components"] = ordered_json::array();
  for (const Component& component : verdict.components) out["components"].push_back(json_of(component));
  return out;
}

ordered_json json_of(const Registry& registry) {
  ordered_json out{{"places", ordered_json::array()}, {"files", ordered_json::array()}};
  for (const plugins::SearchPlace& place : registry.places())
    out["places"].push_back({{"folder", place.folder.string()}, {"origin", place.origin}, {"problem", place.problem}});
  for (const Verdict& verdict : registry.verdicts()) out["files"].push_back(json_of(verdict));
  return out;
}

}  // namespace

void plugin_list(const PluginOptions& options, CommandContext& context) {
  const Registry registry = registry_of(context);
  if (options.json) {
    context.out << json_of(registry).dump(2) << '\n';
    return;
  }
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  table.header({"component", "kind", "what it does"});
  size_t refused = 0;
  for (const Verdict& verdict : registry.verdicts()) {
    refused += !verdict.ok;
    if (!verdict.ok) continue;
    for (const Component& component : verdict.components)
      table.row(
          {component.id, component.kind + (component.known_kind ? "" : " (unknown, ignored)"), printable(component.doc, 200)});
  }
  if (table.rows() > 0) context.out << table.text();
  for (const Verdict& verdict : registry.verdicts())
    if (!verdict.ok) context.out << "refused " << verdict.file.string() << ": " << verdict.reason << '\n';
  if (table.rows() == 0 && refused == 0) context.out << "no plugins; " << plugins::places_text(registry.places()) << '\n';
}

namespace {

// "cpu" is short for espalier.backend.cpu, and is what a user calls cpu.esp.so.
bool is_called(const std::string& full, const std::string& name) {
  return full == name || full.substr(full.rfind('.') + 1) == name;
}

// The whole id, or its last part where that names one component alone.
const Component& component_of(const Registry& registry, const std::string& id) {
  if (const Component* component = registry.find_any(id)) return *component;
  std::vector<std::string> known, short_names;
  const Component* found = nullptr;
  size_t matches = 0;
  for (const Verdict& verdict : registry.verdicts())
    for (const Component& component : verdict.components) {
      known.push_back(component.id);
      if (!verdict.ok || !is_called(component.id, id)) continue;
      found = &component;
      ++matches;
    }
  if (matches == 1) return *found;
  for (const std::string& full : known) short_names.push_back(full.substr(full.rfind('.') + 1));
  const std::string hint = did_you_mean(id, known);
  throw UserError("[plugin] no component '" + printable(id) + "'" + (hint.empty() ? did_you_mean(id, short_names) : hint) +
                  "\n'espalier plugin why " + printable(id) + "' lists every place and file");
}

}  // namespace

void plugin_show(const PluginOptions& options, CommandContext& context) {
  const Registry registry = registry_of(context);
  const Component& component = component_of(registry, options.id);
  if (options.json) {
    ordered_json out = json_of(component);
    out["file"] = component.file.string();
    out["plugin"] = component.plugin_id;
    out["version"] = component.plugin_version;
    context.out << out.dump(2) << '\n';
    return;
  }
  context.out << component.id << "  (" << component.kind << ")\n"
              << component.doc << "\n\nplugin  " << component.plugin_id << ' ' << component.plugin_version << "\nfile    "
              << component.file.string() << "\n";
  if (component.params.empty()) {
    context.out << "\nno parameters\n";
    return;
  }
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  table.header({"parameter", "kind", "default", "range", "what it does"});
  for (const ParamSpec& spec : component.params)
    table.row(
        {spec.name, plugins::kind_text(spec), plugins::default_text(spec), plugins::range_text(spec), printable(spec.doc, 200)});
  context.out << '\n' << table.text();
}

// Every place and every file with its verdict, those that have to do with `id` marked.
void plugin_why(const PluginOptions& options, CommandContext& context) {
  const Registry registry = registry_of(context);
  if (options.json) {
    context.out << json_of(registry).dump(2) << '\n';
    return;
  }
  for (const plugins::SearchPlace& place : registry.places())
    context.out << place.folder.string() << "  (" << place.origin << ")" << (place.problem.empty() ? "" : ": " + place.problem)
                << '\n';
  std::vector<std::string> known;
  bool found = false;
  for (const Verdict& verdict : registry.verdicts()) {
    bool offers = false;
    std::vector<std::string> ids;
    for (const Component& component : verdict.components) {
      ids.push_back(component.id);
      known.push_back(component.id);
      offers = offers || is_called(component.id, options.id);
    }
    found = found || (offers && verdict.ok);
    const std::string file_name = options.id.substr(options.id.rfind('.') + 1) + std::string(plugins::kSuffix);
    const bool about_id = offers || verdict.file.filename() == file_name;
    context.out << (about_id ? "* " : "  ") << verdict.file.string() << "  (" << verdict.origin << ")\n    "
                << (verdict.ok ? "ok: " + join(ids, ", ") : "refused: " + verdict.reason) << '\n';
  }
  if (found) {
    context.out << options.id << " is usable\n";
    return;
  }
  context.out << "no file offers a usable " << printable(options.id) << did_you_mean(options.id, known) << '\n';
  context.exit_code = 2;
}

}  // namespace espalier::cli
