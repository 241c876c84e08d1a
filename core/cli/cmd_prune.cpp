#include <fmt/format.h>

#include <memory>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/cli/recipe_plugins.h"
#include "core/inspect/summary.h"
#include "core/prune/certificate.h"
#include "core/prune/strategy.h"
#include "core/prune/student_files.h"
#include "core/train/open_data.h"
#include "core/train/stage_pruners.h"
#include "plugins/registry.h"

namespace espalier::cli {
namespace {

struct Options {
  std::string model, plan, use, pad, backend = "cpu";
  std::filesystem::path calibrate;
  std::optional<int64_t> batches;
  std::vector<std::string> set;
  std::filesystem::path out;
  std::optional<uint64_t> random_weights;
  bool dry_run = false, large_headers = false, allow_exec = false;
};

void check_options(const Options& options) {
  ErrorList errors;
  if (options.plan.empty() == options.use.empty())
    errors.add(options.plan.empty()
                   ? "[prune] what to remove is missing; give --plan FILE or --use ID (`espalier plugin list` names them)"
                   : "[prune] --plan and --use exclude each other; give one");
  if (!options.set.empty() && options.use.empty()) errors.add("[prune] --set gives a pruner's parameters and needs --use");
  if (!options.calibrate.empty() && options.use.empty()) errors.add("[prune] --calibrate gives a pruner data and needs --use");
  if (options.batches && options.calibrate.empty())
    errors.add("[prune] --batches says how much of the data and needs --calibrate");
  if (options.batches && *options.batches < 1) errors.add("[prune] --batches must be at least 1");
  if (options.out.empty() && !options.dry_run)
    errors.add("[prune] --out is missing; give a folder, or --dry-run to see what would be done");
  // Writing checks this again; here it spares the work of a pruner that reads every weight.
  const std::filesystem::file_status there = std::filesystem::symlink_status(options.out);
  if (!options.dry_run && std::filesystem::exists(there) &&
      !(std::filesystem::is_directory(there) && std::filesystem::is_empty(options.out)))
    errors.add(options.out.string() + " exists; choose another or remove it");
  errors.throw_if_any();
}

/// A structure that only padding makes expressible is no fault when padding is asked for.
prune::Expressible expressible(const Options& options) {
  return options.pad.empty() ? prune::Expressible::kNow : prune::Expressible::kPadded;
}

/// What --calibrate gives a pruner: the data of a recipe. Empty without it.
prune::Calibrate calibration(const Options& options, const model::Model& teacher, const CommandContext& context) {
  if (options.calibrate.empty()) return {};
  ErrorList errors;
  train::Recipe recipe = train::read_recipe(options.calibrate, {}, errors);
  errors.throw_if_any();
  if (options.batches) recipe.calibration_batches = *options.batches;
  train::Models models;
  models.teacher = teacher;
  train::check_data_fits(recipe, models, *train::open_data(recipe));
  return train::calibrate_on_data(recipe, choose_backend(context, options.backend));
}

prune::Asked plan_by_plugin(const Options& options, const model::Model& teacher, const CommandContext& context) {
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const PrunerUse use(options.use, options.set, options.allow_exec, registry);
  const auto pruner = use.make();
  prune::AskOptions ask{.weights = teacher.weights, .calibrate = calibration(options, teacher, context)};
  ask.expressible = expressible(options);
  return prune::run_strategy(*pruner, teacher.tree, ask);
}

/// A model of this structure without weights, for a summary.
inspect::ModelSummary summary_of(const model::Model& teacher, const model::BlockTree& tree) {
  model::Model model;
  model.path = teacher.path;
  model.tree = tree;
  model.config = tree.config;
  return inspect::summarise(model);
}

std::string share(double after, double before) { return before > 0 ? fmt::format("{:.1f}%", 100 * after / before) : ""; }

std::string comparison(const inspect::ModelSummary& before, const inspect::ModelSummary& after) {
  using Align = terminal::Table::Align;
  terminal::Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kRight});
  table.header({"", "teacher", "student", "left"});
  const auto count = [&](const char* name, int64_t a, int64_t b) {
    table.row({name, with_commas(a), with_commas(b), share(static_cast<double>(b), static_cast<double>(a))});
  };
  count("parameters", before.parameters, after.parameters);
  count("tensors", before.tensors, after.tensors);
  count("resnets", before.resnets, after.resnets);
  count("transformer blocks", before.transformer_blocks, after.transformer_blocks);
  if (before.root.flops > 0)
    table.row({fmt::format("FLOPs at {}x{}, {} tokens", before.height, before.width, before.tokens),
               human_count(before.root.flops), human_count(after.root.flops), share(after.root.flops, before.root.flops)});
  return table.text();
}

std::string verdicts(const inspect::ModelSummary& summary) {
  terminal::Table table({terminal::Table::Align::kLeft, terminal::Table::Align::kLeft});
  for (const model::LoaderVerdict& v : summary.loaders)
    table.row({v.loader, v.opens ? "opens it as " + v.as : "does not open it: " + v.reason});
  return table.text();
}

void run_prune(const Options& options, CommandContext& context) {
  check_options(options);
  const model::Model teacher =
      model::load_model(options.model, {.random_weights = options.random_weights, .large_headers = options.large_headers});
  say_notes(context, teacher.notes);
  prune::Asked asked;
  if (options.plan.empty())
    asked = plan_by_plugin(options, teacher, context);
  else
    asked.plan = prune::read_plan(options.plan);
  prune::RemovalPlan& plan = asked.plan;
  const model::BlockTree student =
      prune::apply_plan(teacher.tree, plan, options.plan.empty() ? options.use : options.plan, expressible(options));
  plan = prune::in_teacher_order(teacher.tree, std::move(plan));
  say_notes(context, plan.notes);

  const prune::Certificate certificate = prune::certify(teacher.tree, plan, student);
  if (!certificate.holds)
    throw Error(
        "[certificate] the student built from its config and the teacher with the removed regions bypassed differ; nothing was "
        "written\n" +
        certificate.difference);
  model::BlockTree written = options.pad.empty() ? student : model::pad_for(student, teacher.tree, options.pad);
  written.config = model::config_of(written);
  const inspect::ModelSummary before = summary_of(teacher, teacher.tree), after = summary_of(teacher, written);
  context.out << comparison(before, after) << "\nidentity certificate  " << certificate.describe() << "\n\n" << verdicts(after);
  if (!options.pad.empty()) {
    const size_t zeroed = prune::zeroed_tensors(written).size();
    context.out << (zeroed == 0
                        ? fmt::format("\nnothing to pad: {} opens the student as it is\n", options.pad)
                        : fmt::format("\npadded for {}: {} tensors are zero, so that the blocks they end are identities\n",
                                      options.pad, zeroed));
  }
  if (options.dry_run) return;

  std::unique_ptr<Progress> progress;
  uint64_t shown = 0;
  prune::write_student(
      teacher, written, plan, options.out,
      [&](uint64_t done, uint64_t total) {
        if (progress == nullptr) progress = std::make_unique<Progress>("writing the student", total, ProgressUnit::kBytes);
        progress->add(done - shown);
        shown = done;
      },
      asked.artifacts);
  progress.reset();
  context.out << "\nwritten to " << options.out.string()
              << (teacher.has_weights() ? "\n" : " (no weights: the teacher is a config alone)\n");
}

}  // namespace

void add_prune(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "prune",
       .summary = "remove blocks from a model and write the student",
       .description =
           "Takes a removal plan from a file, or asks a pruner for one, removes the blocks from the teacher, proves that "
           "the student computes what the teacher computes without them (the identity certificate), and writes the student "
           "with its weights, plan and origin map. Weights keep their bytes; the folder appears whole or not at all.",
       .examples = {
           {"espalier prune sdxl --use espalier.prune.ssd-1b -o ssd", "SDXL to SSD-1B"},
           {"espalier prune sdxl --use espalier.prune.magnitude --set keep=4 -o small", "four blocks in each attention module"},
           {"espalier prune sdxl --plan ssd/plan.toml -o again", "the same student, byte for byte"},
           {"espalier prune sdxl --use espalier.prune.taylor --set keep=0.5 --calibrate recipe.toml -o half", "chosen on data"},
           {"espalier prune sdxl-base-unet.json --use espalier.prune.vega --dry-run", "only the figures, from a config"},
           {"espalier prune sdxl --plan mine.toml --pad comfyui -o padded", "identities fill up what ComfyUI wants to see"}}});
  command->add_option("MODEL", options->model, "the teacher: a diffusers folder, a single-file checkpoint, or a UNet config.json")
      ->required();
  command->add_option("--plan", options->plan, "a removal plan, as `prune` writes it")->type_name("FILE");
  command->add_option("--use", options->use, "a pruner by its id, or exec:FILE")->type_name("ID");
  one_each(command->add_option("--set", options->set, "a parameter of the pruner; repeatable"))->type_name("k=v");
  command->add_option("--calibrate", options->calibrate, "a recipe whose [data] and [diffusion] a pruner may try units on")
      ->type_name("RECIPE");
  command->add_option("--batches", options->batches, "of that data; default: the recipe's [calibration] batches, or 8")
      ->type_name("N");
  command->add_option("--backend", options->backend, "what tries units: cpu, reference, or another plugin's")->type_name("NAME");
  add_allow_exec(command, options->allow_exec);
  add_out(command, options->out, "the student's folder, which must not exist");
  command->add_option("--pad", options->pad, "fill up with identity blocks to the nearest structure that this loader opens")
      ->type_name("LOADER");
  command->add_option("--random-weights", options->random_weights, "of a lone config: random weights from this seed")
      ->type_name("SEED");
  command->add_flag("--dry-run", options->dry_run, "write nothing");
  command->add_flag("--large-headers", options->large_headers, "allow safetensors headers over 16 MB");
  on_run(command, context, [options, &context] { run_prune(*options, context); });
}

}  // namespace espalier::cli
