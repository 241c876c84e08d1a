#include <algorithm>
#include <memory>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/cli/plugin_commands.h"

namespace espalier::cli {
namespace {

struct Template {
  std::string_view name;
  std::string_view text;
};
constexpr Template kTemplates[] = {
#include "plugin_templates.inc"
};

struct Options {
  std::string kind, lang = "cpp", id;
  std::filesystem::path out;
};

std::string text_of(const std::string& name) {
  for (const Template& each : kTemplates)
    if (each.name == name) return std::string(each.text);
  throw InternalError("no template '" + name + "'");
}

std::string filled(std::string text, const std::vector<std::pair<std::string, std::string>>& values) {
  for (const auto& [key, value] : values)
    for (size_t at; (at = text.find("@" + key + "@")) != std::string::npos;) text.replace(at, key.size() + 2, value);
  return text;
}

bool is_id(const std::string& id) {
  return id.find('.') != std::string::npos && id.front() != '.' && id.back() != '.' && id.find("..") == std::string::npos &&
         std::all_of(id.begin(), id.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

std::string use_of(const std::string& kind, const std::string& id) {
  if (kind == "prune")
    return "`espalier prune MODEL --use " + id + "`, or in a recipe `[[stage]]` `prune = { use = \"" + id + "\" }`.";
  if (kind == "backend") return "`espalier run MODEL --backend " + id + "`.";
  return "In a recipe: `[[" + kind + "]]` `use = \"" + id + "\"`.";
}

void run_new(const Options& options, CommandContext& context) {
  ErrorList errors;
  const std::vector<std::string> kinds{"prune", "loss", "metric", "backend"}, langs{"cpp", "c"};
  if (std::find(kinds.begin(), kinds.end(), options.kind) == kinds.end())
    errors.add("[plugin new] '" + printable(options.kind) + "' is none of " + join(kinds, ", ") +
               did_you_mean(options.kind, kinds));
  if (std::find(langs.begin(), langs.end(), options.lang) == langs.end())
    errors.add("[--lang] '" + printable(options.lang) + "' is none of cpp, c");
  if (!options.id.empty() && !is_id(options.id))
    errors.add("[--id] '" + printable(options.id) + "' is not in reverse-domain form (com.example.name)");
  if (options.out.empty()) errors.add("[plugin new] --out is missing; give a new folder");
  errors.throw_if_any();
  const std::string id = options.id.empty() ? "com.example." + options.kind + ".mine" : options.id;
  const std::string name = id.substr(id.rfind('.') + 1);
  std::vector<std::pair<std::string, std::string>> values{{"ID", id},
                                                          {"NAME", name},
                                                          {"KIND", options.kind},
                                                          {"LANG", options.lang},
                                                          {"VENDOR", id.substr(0, id.find('.', id.find('.') + 1))}};
  values.emplace_back("LANGUAGES", options.lang == "c" ? "C" : "CXX");
  values.emplace_back("USE", use_of(options.kind, id));
  std::string source = text_of(options.kind + "." + options.lang);
  const bool starts = source.find("static esp_status init(") != std::string::npos;
  source =
      filled(source, {{"PLUGIN", options.lang == "c" ? text_of("plugin.c") : ""}, {"INIT", starts ? "\n    .init = init," : ""}});
  AtomicFolder folder(options.out);
  write_text(folder.path() / "CMakeLists.txt", filled(text_of("project.cmake"), values));
  write_text(folder.path() / (name + "." + options.lang), filled(source, values));
  write_text(folder.path() / "README.md", filled(text_of("readme.md"), values));
  folder.publish();
  context.out << options.out.string() << ": " << id << "\n  cmake -S " << options.out.string() << " -B " << options.out.string()
              << "/build && cmake --build " << options.out.string() << "/build\n  espalier plugin check " << options.out.string()
              << "/build/" << name << ".esp.so\n";
}

}  // namespace

void add_plugin_new(CLI::App& plugin, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      plugin, context,
      {.name = "new",
       .summary = "a project for a plugin, which builds and passes `check` as it is",
       .description =
           "Writes a folder with a source, a CMakeLists.txt of four lines and a README. It needs an installed espalier "
           "(CMAKE_PREFIX_PATH) and a compiler, nothing else.",
       .examples = {{"espalier plugin new loss --id com.acme.loss.mine -o mine", "a loss in C++"},
                    {"espalier plugin new backend --lang c --id com.acme.backend.tiny -o tiny", "a backend in C"}}});
  command->add_option("KIND", options->kind, "prune, loss, metric or backend")->required();
  command->add_option("--lang", options->lang, "cpp or c")->type_name("LANG");
  command->add_option("--id", options->id, "in reverse-domain form; the last part names the files")->type_name("ID");
  add_out(command, options->out, "the project's folder, which must not exist");
  on_run(command, context, [options, &context] { run_new(*options, context); });
}

}  // namespace espalier::cli
