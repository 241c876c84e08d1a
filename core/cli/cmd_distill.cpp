#include <memory>

#include "core/base/error.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/cli/recipe_plugins.h"
#include "core/train/dry_run.h"
#include "core/train/run.h"

namespace espalier::cli {
namespace {

struct Options {
  std::filesystem::path recipe, out;
  std::vector<std::string> sets, backend_sets;
  std::string backend = "cpu", device;
  std::optional<int64_t> threads;
  bool resume = false, dry_run = false, no_report = false, allow_exec = false;
};

void run_distill(const Options& options, CommandContext& context) {
  ErrorList errors;
  const train::Recipe recipe = train::read_recipe(options.recipe, options.sets, errors);
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const auto plugins = std::make_shared<const RecipePlugins>(recipe, registry, errors, options.allow_exec);
  if (options.out.empty() && !options.dry_run)
    errors.add("[distill] --out is missing; give a new folder for the run, or --dry-run to see what it would be");
  errors.throw_if_any();

  std::vector<std::string> sets = options.backend_sets;
  if (options.threads) sets.push_back("threads=" + std::to_string(*options.threads));
  const auto backend = choose_backend(context, options.backend, sets, options.device);
  if (backend != nullptr && backend->plans_only() && !options.dry_run)
    throw UserError("[--device] " + backend->describe() + "; it serves --dry-run");
  train::Services services = services_of_run(context, plugins, backend);
  if (options.no_report) services.report = {};
  if (options.dry_run) return train::dry_run(recipe, services, context.out);
  train::run_recipe(recipe, {options.out, options.resume}, services);
  context.out << (options.out / "student").string() << '\n';
}

}  // namespace

void add_distill(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "distill",
       .summary = "prune in stages and train what is left against the teacher, from a recipe",
       .description =
           "Reads recipe.toml: teacher, data, losses, optimizer, stages. Each stage prunes the student and trains it; a gate may "
           "send "
           "it back. The run is a new folder with the resolved recipe, metrics (JSONL and TensorBoard), checkpoints, the "
           "student, a "
           "model card and a report. A stopped or killed run goes on with --resume and gives the bits of an unbroken one.",
       .examples = {{"espalier distill recipe.toml --out run1", "the whole run"},
                    {"espalier distill recipe.toml --dry-run", "what it would do, take and need"},
                    {"espalier distill recipe.toml --out run1 --resume", "go on from the newest good checkpoint"},
                    {"espalier distill recipe.toml --out run2 --set train.optimizer.lr=3e-4 --set stage.0.steps=100",
                     "the same recipe with other values"}},
       .exit_codes = "0 done, 1 failed (a value that is not finite, a gate with on_fail = \"stop\"), 2 the input is at fault, 3 "
                     "stopped and "
                     "resumable"});
  command->add_option("RECIPE", options->recipe, "recipe.toml")->required()->type_name("FILE");
  add_out(command, options->out, "the run's folder, which must not exist");
  one_each(command->add_option("--set", options->sets, "lay a value over the recipe: a.b=v, stage.0.steps=10; repeatable"))
      ->type_name("a.b=v");
  command->add_flag("--resume", options->resume, "go on with the run in --out; starts it where there is none");
  add_allow_exec(command, options->allow_exec);
  command->add_flag("--no-report", options->no_report, "no report.html at the end; espalier report RUN writes it later");
  command->add_flag("--dry-run", options->dry_run,
                    "check everything and print data, stages, loader verdicts, disk, memory and time per step; write nothing");
  command->add_option("--backend", options->backend, "cpu, reference, or another plugin's")->type_name("NAME");
  one_each(
      command->add_option("--backend-set", options->backend_sets, "a parameter of the backend (see `plugin show`); repeatable"))
      ->type_name("k=v");
  add_device(command, options->device);
  command->add_option("--threads", options->threads, "threads of the backend; the result does not depend on them")
      ->type_name("N");
  on_run(command, context, [options, &context] { run_distill(*options, context); });
}

}  // namespace espalier::cli
