#include <filesystem>
#include <memory>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/inspect/explain.h"
#include "core/inspect/html.h"
#include "core/inspect/session.h"
#include "core/inspect/summary.h"
#include "core/model/model.h"

namespace espalier::cli {
namespace {

struct Options {
  std::string model;
  bool json = false, explain = false, expand = false, large_headers = false;
  std::string html, backend = "cpu", precision = "f32", device;
  std::vector<std::string> sets;
  std::vector<int64_t> size;
  int64_t tokens = 77;
};

std::string layout_text(model::ModelLayout layout) {
  switch (layout) {
    case model::ModelLayout::kUNetFolder:
      return "UNet folder";
    case model::ModelLayout::kPipelineFolder:
      return "pipeline folder";
    case model::ModelLayout::kSingleFile:
      return "single file with the original names";
    case model::ModelLayout::kConfigOnly:
      return "config, no weights";
  }
  return "";
}

void explain_model(const model::Model& model, const Options& options, const std::string& title, CommandContext& context) {
  model::GraphOptions sizes{.tokens = options.tokens};
  if (!options.size.empty()) sizes.height = options.size[0], sizes.width = options.size[1];
  if (sizes.height == 0 && model.config.sample_size == 0)
    throw UserError("[" + printable(options.model) + "] the config has no sample_size; say which size with --size H W");
  inspect::SessionOptions session;
  session.backend = choose_backend(context, options.backend, options.sets, options.device);
  session.compute = *parse_dtype(options.precision);
  const lower::CallList list = inspect::compile(model.tree, sizes, session);
  context.out << title << "\nbackend  " << (session.backend ? session.backend->describe() : "the built-in reference") << "\n\n"
              << inspect::explain(list, {.expand = options.expand});
}

void run_inspect(const Options& options, CommandContext& context) {
  ErrorList errors;
  for (const int64_t extent : options.size)
    if (extent < 1 || extent > 4096)
      errors.add("[inspect] --size wants two extents from 1 to 4096, not " + std::to_string(extent));
  if (options.tokens < 1 || options.tokens > 65536)
    errors.add("[inspect] --tokens wants a count from 1 to 65536, not " + std::to_string(options.tokens));
  errors.throw_if_any();

  const model::Model model = model::load_model(options.model, {.large_headers = options.large_headers});
  say_notes(context, model.notes);
  const std::string title = printable(options.model, 1000) + "  (" + layout_text(model.layout) + ")";
  if (options.explain) return explain_model(model, options, title, context);
  inspect::SummaryOptions sizes{.tokens = options.tokens};
  if (!options.size.empty()) sizes.height = options.size[0], sizes.width = options.size[1];
  const inspect::ModelSummary summary = inspect::summarise(model, sizes);
  if (options.json) {
    context.out << inspect::to_json(summary);
  } else if (!options.html.empty()) {
    inspect::write_html(summary, title, options.html);
    context.out << options.html << '\n';
  } else {
    context.out << inspect::to_text(summary, title, {.expand = options.expand});
  }
}

}  // namespace

void add_inspect(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "inspect",
       .summary = "show a model: blocks, parameters, FLOPs, bytes, who can open it",
       .description = "Reads the structure of a model and prices every block of it: parameters, FLOPs of one forward pass "
                      "(batch 1, a multiply-add is 2), bytes of weights. It says which programs open a model of this structure. "
                      "Weights are mapped and not read, so that a 5 GB model takes less than a second.",
       .examples = {
           {"espalier inspect sdxl/unet", "the tree, equal blocks on one line"},
           {"espalier inspect sdxl-base-unet.json --expand", "every block on a line of its own, down to attn1, attn2, ff"},
           {"espalier inspect sdxl/unet --json | jq .parameters", "for programs"},
           {"espalier inspect sdxl/unet --html sdxl.html", "one page for a browser, nothing to install"},
           {"espalier inspect sdxl/unet --explain --size 64 64", "which kernels run it, what was refused, where memory peaks"}}});
  command
      ->add_option(
          "MODEL", options->model,
          "a diffusers folder (UNet or pipeline), a single-file checkpoint with the original names, or a UNet config.json")
      ->required();
  CLI::Option* json = command->add_flag("--json", options->json, "print one JSON object instead of the tree");
  CLI::Option* html = command->add_option("--html", options->html, "write a self-contained page")->type_name("FILE");
  CLI::Option* explain = command->add_flag("--explain", options->explain,
                                           "instead: which kernel runs what and why, work and memory of the lowered graph");
  html->excludes(json);
  explain->excludes(json)->excludes(html);
  command
      ->add_option("--backend", options->backend,
                   "whose kernels --explain shows: cpu, reference, or a plugin's id (default: cpu)")
      ->type_name("NAME");
  one_each(command->add_option("--set", options->sets, "a parameter of that backend (see `plugin show`); repeatable"))
      ->type_name("k=v");
  add_device(command, options->device);
  command->add_option("--precision", options->precision, "what --explain computes the model in; sums are f32")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->type_name("f32|bf16|f16");
  command->add_flag("--expand", options->expand, "every block, or with --explain every call, on a line of its own");
  command->add_option("--size", options->size, "height and width of the latent instead of the config's sample_size")
      ->expected(2)
      ->type_name("H W");
  command->add_option("--tokens", options->tokens, "length of the text instead of 77");
  command->add_flag("--large-headers", options->large_headers, "allow safetensors headers over 16 MB");
  on_run(command, context, [options, &context] { run_inspect(*options, context); });
}

}  // namespace espalier::cli
