#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/memory_limit.h"
#include "core/base/text.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/exec/border.h"
#include "core/exec/profile.h"
#include "core/inspect/run_inputs.h"
#include "core/inspect/session.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"
#include "core/model/model.h"

namespace espalier::cli {
namespace {

struct Options {
  std::string model, backend = "cpu", weights = "packed", precision = "f32", device;
  std::filesystem::path inputs, outputs, trace, dump_ir;
  std::vector<std::string> taps, sets, disabled_passes;
  std::optional<uint64_t> random_weights;
  std::optional<int64_t> threads;
  int64_t repeat = 1;
  bool strict = false, profile = false, large_headers = false;
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::shared_ptr<lower::Backend> backend_of(const Options& options, const CommandContext& context) {
  std::vector<std::string> sets = options.sets;
  if (options.threads) sets.push_back("threads=" + std::to_string(*options.threads));
  return choose_backend(context, options.backend, sets, options.device);
}

void check(const Options& options) {
  ErrorList errors;
  if (options.repeat < 1 || options.repeat > 1000000)
    errors.add("[run] --repeat wants a count from 1 to 1000000, not " + std::to_string(options.repeat));
  if (!std::filesystem::exists(options.inputs))
    errors.add("[" + options.inputs.string() + "] no such file; --inputs wants a safetensors file");
  for (const auto& [out, what] : {std::pair{options.outputs, "--outputs"}, {options.trace, "--trace"}})
    if (std::filesystem::is_directory(out)) errors.add("[" + out.string() + "] is a folder; " + what + " wants a file");
  errors.throw_if_any();
}

void write_outputs(const std::filesystem::path& file, const Graph& graph, const exec::FloatTensors& tensors) {
  std::vector<io::TensorDecl> declared;
  for (const Output& output : graph.outputs()) declared.push_back({output.name, f32(tensors.at(output.name).shape)});
  io::SafetensorsWriter writer(file, declared);
  for (const io::TensorDecl& tensor : declared)
    writer.write(tensor.name, {tensor.type, std::as_bytes(std::span(tensors.at(tensor.name).values))});
  writer.finish();
}

void print_profile(std::ostream& out, const exec::Executor& executor, std::vector<double> seconds, double setup_s) {
  for (const exec::ProfileBy by : {exec::ProfileBy::kOp, exec::ProfileBy::kKernel, exec::ProfileBy::kPath})
    out << exec::profile_table(executor.list(), executor.call_ms(), by) << '\n';
  out << "runs   ";
  for (double each : seconds) out << fmt::format(" {:.3f}", each);
  out << " s (the first reads the weights)";
  if (seconds.size() > 2) {
    std::sort(seconds.begin() + 1, seconds.end());
    out << fmt::format(", median of the others {:.3f} s", seconds[1 + (seconds.size() - 1) / 2]);
  }
  out << fmt::format("; set up in {:.3f} s; arena {}; peak memory {}\n", setup_s, human_bytes(executor.list().arena_bytes),
                     human_bytes(peak_memory_bytes()));
}

void run_model(const Options& options, CommandContext& context) {
  check(options);
  const auto begin = std::chrono::steady_clock::now();
  const std::shared_ptr<lower::Backend> backend = backend_of(options, context);
  const model::Model model =
      model::load_model(options.model, {.random_weights = options.random_weights, .large_headers = options.large_headers});
  say_notes(context, model.notes);
  inspect::RunInputs inputs = inspect::read_run_inputs(*io::open_safetensors(options.inputs), model.tree);
  if (!inputs.ignored.empty())
    say_notes(context, {options.inputs.string() + ": this model does not read " + join(inputs.ignored, ", ")});
  inputs.sizes.taps = options.taps;
  const bool timed = options.profile || !options.trace.empty();
  const auto executor = inspect::open_session(model, inputs.sizes,
                                              {.backend = backend,
                                               .strict = options.strict,
                                               .mapped = options.weights == "mapped",
                                               .timed = timed,
                                               .disabled_passes = options.disabled_passes,
                                               .dump_folder = options.dump_ir,
                                               .compute = *parse_dtype(options.precision)});
  const double setup_s = seconds_since(begin);

  exec::FloatTensors results;
  std::vector<double> seconds;
  for (int64_t i = 0; i < options.repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    results = exec::run_named(*executor, inputs.tensors);
    seconds.push_back(seconds_since(start));
  }
  const Graph& graph = *executor->list().graph;
  results = exec::to_files(std::move(results));
  write_outputs(options.outputs, graph, results);
  if (!options.trace.empty()) write_text(options.trace, exec::chrome_trace(executor->list(), executor->call_ms()));
  if (options.profile) print_profile(context.out, *executor, seconds, setup_s);
  context.out << fmt::format("{}: {} tensor{}, {:.3f} s on {}\n", options.outputs.string(), results.size(),
                             results.size() == 1 ? "" : "s", seconds.back(), backend == nullptr ? "reference" : backend->name());
}

}  // namespace

void add_run(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "run",
       .summary = "one forward pass: inputs in, output and any block's value out",
       .description =
           "Reads sample [N,C,H,W], timestep [N], encoder_hidden_states [N,L,E], and text_embeds [N,P] and time_ids [N,6] where "
           "the model wants them, and writes sample and one tensor for each tap, all in diffusers' layouts. Any batch, size and "
           "number of tokens. The backend is a plugin; `reference` is built in, slow, and what all others are compared with.",
       .examples = {{"espalier run sdxl/unet --inputs in.safetensors --outputs out.safetensors", "the output alone"},
                    {"espalier run sdxl --inputs in.safetensors --outputs out.safetensors --taps '*'",
                     "every stage, resnet, attention module, block and attn1"},
                    {"espalier run sdxl --inputs in.safetensors --outputs out.safetensors --weights mapped --profile",
                     "least memory, and where the time goes"},
                    {"espalier run sdxl-base-unet.json --random-weights 0 --inputs in.safetensors --outputs out.safetensors",
                     "a structure without its weights"}}});
  command
      ->add_option("MODEL", options->model,
                   "a diffusers folder (UNet or pipeline), a single-file checkpoint, or a UNet config.json")
      ->required();
  command->add_option("--inputs", options->inputs, "safetensors file with the inputs")->required()->type_name("FILE");
  command->add_option("--outputs", options->outputs, "safetensors file to write, whole or not at all")
      ->required()
      ->type_name("FILE");
  one_each(command->add_option("--taps", options->taps, "also write the values of these blocks; * crosses dots; repeatable"))
      ->type_name("GLOB");
  command->add_option("--backend", options->backend, "cpu, reference, or another plugin's")->type_name("NAME");
  one_each(command->add_option("--set", options->sets, "a parameter of the backend (see `plugin show`); repeatable"))
      ->type_name("k=v");
  add_device(command, options->device);
  command->add_option("--threads", options->threads, "short for --set threads=N")->type_name("N");
  command
      ->add_option("--weights", options->weights,
                   "packed: widened once, fastest; mapped: stay in the file and are widened at each use, least memory")
      ->check(CLI::IsMember({"packed", "mapped"}))
      ->type_name("packed|mapped");
  command->add_option("--precision", options->precision, "what the model is computed in, where the backend can; sums are f32")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->type_name("f32|bf16|f16");
  command->add_option("--random-weights", options->random_weights, "weights for a lone config, the same for the same seed")
      ->type_name("SEED");
  command->add_option("--repeat", options->repeat, "run this often; the outputs are those of the last run")->type_name("N");
  command->add_flag("--strict", options->strict, "refuse to run when the backend has no kernel for some call");
  command->add_flag("--profile", options->profile, "print time by op, kernel and block, and the peak memory");
  command->add_option("--trace", options->trace, "write the calls of the last run as Chrome trace JSON (ui.perfetto.dev)")
      ->type_name("FILE");
  one_each(command->add_option("--disable-pass", options->disabled_passes, "leave out this pass (see `opt --list`); repeatable"))
      ->type_name("NAME");
  command->add_option("--dump-ir", options->dump_ir, "write the graph after each pass that changed it")->type_name("DIR");
  command->add_flag("--large-headers", options->large_headers, "allow safetensors headers over 16 MB");
  on_run(command, context, [options, &context] { run_model(*options, context); });
}

}  // namespace espalier::cli
