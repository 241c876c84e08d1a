#include <algorithm>
#include <memory>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/cli/recipe_plugins.h"
#include "core/sweep/work.h"

namespace espalier::cli {
namespace {

struct Options {
  std::filesystem::path sweep;
  std::string trial;
  std::string backend = "cpu";
  std::optional<int64_t> threads;
  bool allow_exec = false;
};

void run_work(const Options& options, CommandContext& context) {
  const sweep::Store store(options.sweep);
  const std::vector<sweep::Trial> trials = store.trials();
  const sweep::Rules rules = store.rules();
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const auto backend =
      choose_backend(context, options.backend,
                     options.threads ? std::vector{"threads=" + std::to_string(*options.threads)} : std::vector<std::string>{});
  const sweep::WorkContext work{store, trials, rules,
                                [&](const train::Recipe& recipe) {
                                  ErrorList faults;
                                  auto plugins =
                                      std::make_shared<const RecipePlugins>(recipe, registry, faults, options.allow_exec);
                                  faults.throw_if_any();
                                  return services_of_run(context, std::move(plugins), backend);
                                },
                                [&](const std::string& line) { say_notes(context, {line}); }};
  if (options.trial.empty()) {
    if (!sweep::work(work)) context.exit_code = 1;
    return;
  }
  const auto at = std::find_if(trials.begin(), trials.end(), [&](const sweep::Trial& each) { return each.id == options.trial; });
  if (at == trials.end()) {
    std::vector<std::string> ids;
    for (const sweep::Trial& each : trials) ids.push_back(each.id);
    throw UserError("[" + options.sweep.string() + "] has no trial '" + printable(options.trial) + "'" +
                    did_you_mean(options.trial, ids));
  }
  const sweep::Attempt attempt = sweep::run_trial(work, static_cast<size_t>(at - trials.begin()));
  if (attempt == sweep::Attempt::kFailed) context.exit_code = 1;
}

}  // namespace

void add_work(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      begin_command(app, context,
                    {.name = "work",
                     .summary = "take trials of a sweep, one after another",
                     .description = "Runs trials of a sweep that `espalier sweep` began, until none is left to take: from "
                                    "another shell, or from another machine "
                                    "that has the same folder at the same path. Any number may work at once; each holds a lock "
                                    "on its trial that the system frees "
                                    "when it dies.",
                     .examples = {{"espalier work s1", "until every trial is done or somebody else's"},
                                  {"espalier work s1 --trial 0f1e2d3c4b5a6978", "this one only; what `espalier sweep` starts"}},
                     .exit_codes = "0 done, 1 an attempt failed, 2 the input is at fault, 3 stopped and resumable"});
  command->add_option("DIR", options->sweep, "the sweep's folder")->required()->type_name("DIR");
  command->add_option("--trial", options->trial, "run this trial only")->type_name("ID");
  command->add_option("--backend", options->backend, "cpu, reference, or another plugin's")->type_name("NAME");
  command->add_option("--threads", options->threads, "threads of the backend; results do not depend on them")->type_name("N");
  add_allow_exec(command, options->allow_exec);
  on_run(command, context, [options, &context] { run_work(*options, context); });
}

}  // namespace espalier::cli
