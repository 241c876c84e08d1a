#include <fmt/format.h>

#include <memory>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/cli/commands.h"
#include "core/prune/export.h"

namespace espalier::cli {
namespace {

struct Options {
  std::string model, as, dtype;
  std::filesystem::path out;
  bool large_headers = false;
};

DType check_options(const Options& options) {
  ErrorList errors;
  const std::vector<std::string> layouts = {"diffusers", "single-file"}, dtypes = {"f16", "bf16", "f32"};
  if (std::find(layouts.begin(), layouts.end(), options.as) == layouts.end())
    errors.add(fmt::format("[export] --as wants diffusers or single-file, not '{}'{}", printable(options.as),
                           did_you_mean(options.as, layouts)));
  if (!options.dtype.empty() && std::find(dtypes.begin(), dtypes.end(), options.dtype) == dtypes.end())
    errors.add(fmt::format("[export] --dtype wants f16, bf16 or f32, not '{}'{}", printable(options.dtype),
                           did_you_mean(options.dtype, dtypes)));
  if (options.out.empty()) errors.add("[export] --out is missing; give the folder or file to write");
  errors.throw_if_any();
  return options.dtype.empty() ? DType::kNone : *parse_dtype(options.dtype);
}

void run_export(const Options& options, CommandContext& context) {
  const DType dtype = check_options(options);
  const model::Model model = model::load_model(options.model, {.large_headers = options.large_headers});
  std::unique_ptr<Progress> progress;
  uint64_t shown = 0;
  const prune::WriteProgress show = [&](uint64_t done, uint64_t total) {
    if (progress == nullptr) progress = std::make_unique<Progress>("writing weights", total, ProgressUnit::kBytes);
    progress->add(done - shown);
    shown = done;
  };
  const prune::ExportReport report = options.as == "diffusers" ? prune::export_diffusers(model, options.out, dtype, show)
                                                               : prune::export_single_file(model, options.out, dtype, show);
  progress.reset();
  say_notes(context, report.notes);
  context.out << fmt::format("{}: {} tensors, {}\n", options.out.string(), with_commas(static_cast<int64_t>(report.tensors)),
                             human_bytes(report.bytes));
}

}  // namespace

void add_export(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "export",
       .summary = "write a model as a diffusers folder or as one file with the original names",
       .description =
           "Writes the UNet again in the layout and element type asked for. A single file carries its config in its metadata; "
           "the other tensors of a checkpoint pass through byte for byte. The output appears whole or not at all.",
       .examples = {{"espalier export ssd --as single-file --dtype f16 -o ssd.safetensors", "for ComfyUI"},
                    {"espalier export ssd.safetensors --as diffusers -o ssd-again", "and back"},
                    {"espalier export ssd/unet --as diffusers --dtype f32 -o ssd-f32", "another element type"}}});
  command->add_option("STUDENT", options->model, "a diffusers folder or a single-file checkpoint")->required();
  command->add_option("--as", options->as, "diffusers or single-file")->type_name("LAYOUT")->required();
  command->add_option("--dtype", options->dtype, "f16, bf16 or f32; without it every tensor keeps its own")->type_name("DTYPE");
  add_out(command, options->out, "the folder or file to write, which must not exist");
  command->add_flag("--large-headers", options->large_headers, "allow safetensors headers over 16 MB");
  on_run(command, context, [options, &context] { run_export(*options, context); });
}

}  // namespace espalier::cli
