#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/cli/commands.h"
#include "core/cli/graph_file.h"
#include "core/ir/print.h"
#include "core/passes/pipeline.h"

namespace espalier::cli {
namespace {

struct Options {
  std::string graph;
  std::vector<std::string> passes, disabled, accepts{"all"};
  std::filesystem::path dump, out;
  std::optional<uint64_t> recompute_above_mib;
  std::string precision = "f32";
  int fold_scopes = 0;
  bool list = false, passes_given = false;
};

void list_passes(CommandContext& context) {
  using terminal::Table;
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  for (const passes::Pass* pass : passes::all_passes()) table.row({std::string(pass->name), std::string(pass->guarantee)});
  std::vector<std::string> order;
  for (const passes::Pass* pass : passes::standard_pipeline()) order.emplace_back(pass->name);
  context.out << table.text() << "\nwithout --passes: " << join(order, ",") << '\n';
}

void run_opt(const Options& options, CommandContext& context) {
  if (options.list) return list_passes(context);
  const std::vector<Graph> graphs = read_graphs(options.graph, "opt");
  const std::vector<const passes::Pass*> wanted =
      options.passes_given ? passes::find_passes(options.passes) : passes::standard_pipeline();
  passes::PipelineOptions pipeline{.context = {passes::accepts_named(options.accepts)},
                                   .disabled = options.disabled,
                                   .verify = true,
                                   .dump_folder = options.dump};
  if (options.precision != "f32") pipeline.context.compute = parse_dtype(options.precision);
  if (options.recompute_above_mib) pipeline.context.recompute_above_bytes = *options.recompute_above_mib << 20;
  if (!options.dump.empty() && graphs.size() > 1)
    throw UserError("[opt] --dump-ir takes one graph, " + graph_file_name(options.graph) + " holds " +
                    std::to_string(graphs.size()));
  std::string text;
  for (const Graph& graph : graphs) {
    std::vector<passes::PassRecord> records;
    text += print(passes::run_passes(graph, wanted, pipeline, &records), {.fold_scopes = options.fold_scopes});
    if (context.verbosity > 0) context.err << "@" << graph.name << '\n' << passes::to_text(records);
  }
  if (options.out.empty())
    context.out << text;
  else
    write_text(options.out, text);
}

}  // namespace

void add_opt(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "opt",
       .summary = "run passes over a graph in text form and print it",
       .description = "Reads graphs in espalier's text form (.eir), checks them, runs the passes asked for, and prints what "
                      "comes out; the graph is verified again after each pass. Without --passes it runs what every other command "
                      "runs before a model is executed.",
       .examples = {{"espalier opt block.eir --passes=canonicalise,cse", "two passes, result on standard output"},
                    {"espalier opt block.eir --passes=none", "only parse, verify and print"},
                    {"espalier opt block.eir --dump-ir steps -v", "the graph after every pass that changed it, and times"},
                    {"espalier opt unet.eir --accepts=none --fold-scopes=2", "no composites; one line per block"},
                    {"espalier opt step.eir --passes=recompute --recompute-above 900", "a training graph within 900 MiB"},
                    {"espalier opt --list", "the passes and what each guarantees"}}});
  command->add_option("GRAPH", options->graph, "a .eir file, or - for standard input");
  CLI::Option* passes = command
                            ->add_option("--passes", options->passes,
                                         "names in order, a pass may be named twice; none: only parse, verify and print")
                            ->delimiter(',')
                            ->type_name("a,b");
  one_each(passes);
  one_each(command->add_option("--disable-pass", options->disabled, "leave these passes out")->delimiter(',')->type_name("a,b"));
  one_each(command
               ->add_option("--accepts", options->accepts,
                            "composites that the backend is taken to run as one kernel: all, none, or their names")
               ->delimiter(',')
               ->type_name("a,b"));
  command
      ->add_option("--recompute-above", options->recompute_above_mib,
                   "what recompute aims at: values of a training graph in so many MiB; without it that pass does nothing")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 40))
      ->type_name("MIB");
  command->add_option("--precision", options->precision, "what mixed_precision computes in; with f32 that pass does nothing")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->type_name("f32|bf16|f16");
  command->add_option("--dump-ir", options->dump, "write NNN_<pass>.eir and index.txt into this folder")->type_name("DIR");
  command
      ->add_option("--fold-scopes", options->fold_scopes, "print one line per block down to this depth; such text is for reading")
      ->check(CLI::Range(0, 64))
      ->type_name("N");
  command->add_flag("--list", options->list, "print the passes and what each guarantees");
  add_out(command, options->out, "write the text to this file instead of standard output");
  on_run(command, context, [options, passes, &context] {
    options->passes_given = passes->count() > 0;
    run_opt(*options, context);
  });
}

}  // namespace espalier::cli
