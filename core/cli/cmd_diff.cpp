#include <fmt/format.h>

#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/cli/commands.h"
#include "core/prune/diff.h"

namespace espalier::cli {
namespace {

constexpr size_t kMostListed = 20;

struct Options {
  std::string a, b;
  bool all = false, large_headers = false;
};

bool is_plan(const std::string& file) { return std::filesystem::path(file).extension() == ".toml"; }

void print_list(CommandContext& context, const std::string& title, const std::vector<std::string>& lines, bool all) {
  if (lines.empty()) return;
  context.out << fmt::format("{} ({})\n", title, lines.size());
  for (size_t i = 0; i < lines.size() && (all || i < kMostListed); ++i) context.out << "  " << lines[i] << '\n';
  if (!all && lines.size() > kMostListed)
    context.out << fmt::format("  … {} more; --all lists them\n", lines.size() - kMostListed);
}

std::vector<std::string> rows_of(const std::vector<prune::Removal>& removals) {
  std::vector<std::string> rows;
  for (const prune::Removal& r : removals) rows.push_back(fmt::format("{} (stage {})", r.path, r.stage));
  return rows;
}

void diff_plan_files(const Options& options, CommandContext& context) {
  const prune::RemovalPlan a = prune::read_plan(options.a), b = prune::read_plan(options.b);
  const prune::PlanDiff diff = prune::diff_plans(a, b);
  if (!diff.same_teacher) context.out << fmt::format("teachers differ\n  {}\n  {}\n", a.teacher, b.teacher);
  print_list(context, "removed only by " + options.a, rows_of(diff.only_a), options.all);
  print_list(context, "removed only by " + options.b, rows_of(diff.only_b), options.all);
  print_list(context, "removed by both, otherwise", diff.changed, options.all);
  if (diff.same()) context.out << fmt::format("the plans are equal: {} rows\n", a.removals.size());
  context.exit_code = diff.same() ? 0 : 1;
}

/// The origin map of `b` when it is a student of `a`: beside its unet/ folder.
std::optional<prune::OriginMap> origins_of(const model::Model& a, const model::Model& b) {
  for (const std::filesystem::path& folder : {b.path, b.path.parent_path()}) {
    const std::filesystem::path file = folder / "origin.json";
    if (!std::filesystem::is_regular_file(file)) continue;
    prune::OriginMap map = prune::read_origins(file);
    if (map.teacher == model::structure_hash(a.tree.config)) return map;
  }
  return std::nullopt;
}

void diff_model_files(const Options& options, CommandContext& context) {
  const model::LoadOptions load{.large_headers = options.large_headers};
  const model::Model a = model::load_model(options.a, load), b = model::load_model(options.b, load);
  std::unique_ptr<Progress> progress;
  uint64_t shown = 0;
  const std::optional<prune::OriginMap> origins = origins_of(a, b);
  const prune::ModelDiff diff = prune::diff_models(a, b, origins ? &*origins : nullptr, [&](uint64_t done, uint64_t total) {
    if (progress == nullptr) progress = std::make_unique<Progress>("comparing weights", total, ProgressUnit::kBytes);
    progress->add(done - shown);
    shown = done;
  });
  progress.reset();
  if (diff.same_structure)
    context.out << fmt::format("same structure, {} parameters\n  {}\n", with_commas(diff.parameters_a), diff.hash_a);
  else
    context.out << fmt::format("structures differ: {} and {} parameters ({:+.1f}%)\n  {}\n  {}\n", with_commas(diff.parameters_a),
                               with_commas(diff.parameters_b),
                               100.0 * (static_cast<double>(diff.parameters_b) / static_cast<double>(diff.parameters_a) - 1.0),
                               diff.hash_a, diff.hash_b);
  if (origins)
    context.out << fmt::format(
        "{} is a student of {}: its blocks and tensors are compared with their origins, by the teacher's names\n", options.b,
        options.a);
  print_list(context, "blocks only in " + options.a, diff.only_a, options.all);
  print_list(context, "blocks only in " + options.b, diff.only_b, options.all);
  print_list(context, "blocks that differ", diff.changed_blocks, options.all);
  print_list(context, "tensors only in " + options.a, diff.tensors_only_a, options.all);
  print_list(context, "tensors only in " + options.b, diff.tensors_only_b, options.all);
  print_list(context, "tensors of other type or shape", diff.other_type, options.all);
  print_list(context, "tensors of other contents", diff.other_bytes, options.all);
  if (diff.compared_weights)
    context.out << fmt::format("{} tensors are equal byte for byte ({})\n", with_commas(static_cast<int64_t>(diff.equal_tensors)),
                               human_bytes(diff.equal_bytes));
  else
    context.out << "weights were not compared: one of the two is a config alone\n";
  context.exit_code = diff.same() ? 0 : 1;
}

void run_diff(const Options& options, CommandContext& context) {
  if (is_plan(options.a) != is_plan(options.b))
    throw UserError(fmt::format("[diff] {} is a removal plan and {} is not; compare two models or two plans",
                                is_plan(options.a) ? options.a : options.b, is_plan(options.a) ? options.b : options.a));
  is_plan(options.a) ? diff_plan_files(options, context) : diff_model_files(options, context);
}

}  // namespace

void add_diff(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "diff",
       .summary = "compare two models or two removal plans",
       .description =
           "Compares the structures, the tensors by name, type and shape, and the weights byte for byte; or the rows of two "
           "removal plans. Blocks are compared by their block path.",
       .examples = {{"espalier diff sdxl ssd", "what was removed, and that the rest is untouched"},
                    {"espalier diff ssd-1b-unet.json ssd/unet", "is it the published structure?"},
                    {"espalier diff ssd/plan.toml mine.toml", "two plans"}},
       .exit_codes = "0 equal, 1 different or failed, 2 the input is at fault, 3 interrupted"});
  command->add_option("A", options->a, "a model, or a removal plan (.toml)")->required();
  command->add_option("B", options->b, "what to compare it with")->required();
  command->add_flag("--all", options->all, "list every difference instead of the first 20 of a kind");
  command->add_flag("--large-headers", options->large_headers, "allow safetensors headers over 16 MB");
  on_run(command, context, [options, &context] { run_diff(*options, context); });
}

}  // namespace espalier::cli
