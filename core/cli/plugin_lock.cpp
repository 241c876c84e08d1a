#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/sha256.h"
#include "core/cli/plugin_commands.h"
#include "plugins/registry.h"

namespace espalier::cli {
namespace {

struct Options {
  std::filesystem::path out = "espalier-plugins.lock";
};

void run_lock(const Options& options, CommandContext& context) {
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  nlohmann::ordered_json plugins = nlohmann::ordered_json::array();
  ErrorList errors;
  for (const plugins::Verdict& verdict : registry.verdicts()) {
    if (!verdict.ok) {
      errors.add(verdict.file.string() + ": " + verdict.reason);
      continue;
    }
    nlohmann::ordered_json row{{"id", verdict.id}, {"version", verdict.version}, {"sha256", sha256_of_file(verdict.file)}};
    row["components"] = nlohmann::ordered_json::array();
    for (const plugins::Component& component : verdict.components) row["components"].push_back(component.id);
    plugins.push_back(std::move(row));
  }
  errors.throw_if_any();
  write_text(options.out, nlohmann::ordered_json{{"format", 1}, {"plugins", plugins}}.dump(1) + "\n");
  context.out << options.out.string() << ": " << plugins.size() << " plugins; espalier … --plugin-lock " << options.out.string()
              << " takes these and no others\n";
}

}  // namespace

void add_plugin_lock(CLI::App& plugin, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      plugin, context,
      {.name = "lock",
       .summary = "write down which plugins there are, by content",
       .description =
           "Writes a file with the id, version and SHA-256 of every plugin of the search order. Any command with --plugin-lock "
           "FILE, or with ESPALIER_PLUGIN_LOCK set to it, then refuses every file whose content is not in it: for shared "
           "machines, "
           "and for runs that others shall repeat.",
       .examples = {{"espalier plugin lock -o plugins.lock", "what is there now"},
                    {"espalier distill recipe.toml --out run --plugin-lock plugins.lock", "with these alone"}}});
  add_out(command, options->out, "the lock file; default espalier-plugins.lock");
  on_run(command, context, [options, &context] { run_lock(*options, context); });
}

}  // namespace espalier::cli
