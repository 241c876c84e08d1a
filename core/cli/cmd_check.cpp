#include <algorithm>
#include <cstdio>
#include <memory>

#include "core/autodiff/check_gradient.h"
#include "core/base/error.h"
#include "core/base/terminal.h"
#include "core/cli/commands.h"
#include "core/cli/graph_file.h"
#include "core/ir/print.h"
#include "core/passes/canonicalise.h"
#include "core/passes/dce.h"

namespace espalier::cli {
namespace {

constexpr size_t kMostRows = 20;  // without -v

struct Options {
  std::string graph;
  bool grad = false, print = false, unit_inputs = false;
  uint64_t seed = 0;
  double tolerance = 1e-6;
};

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

/// The table of one graph, worst first; true when every row is within the tolerance.
bool report(const std::string& name, std::vector<autodiff::GradientRow> rows, const Options& options, CommandContext& context) {
  using terminal::Table;
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.worst > b.worst; });
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kRight, Table::Align::kRight, Table::Align::kLeft});
  table.header({"with respect to", "type", "largest", "off by", ""});
  size_t wrong = 0;
  for (const autodiff::GradientRow& row : rows) {
    const bool fails = !row.finite || !(row.worst <= options.tolerance);
    wrong += fails;
    if (!fails && table.rows() >= kMostRows && context.verbosity < 1) continue;
    table.row({row.name, to_string(row.type), short_number(row.largest_gradient), row.finite ? short_number(row.worst) : "",
               !row.finite  ? "not finite at these numbers: try another --seed, or --unit-inputs"
               : fails      ? "WRONG"
               : row.absent ? "no gradient reaches it"
                            : ""});
  }
  context.out << "@" << name << '\n' << table.text();
  if (table.rows() < rows.size()) context.out << "… and " << rows.size() - table.rows() << " that are closer (-v lists them)\n";
  context.out << rows.size() - wrong << " of " << rows.size() << " gradients are within " << short_number(options.tolerance)
              << " of finite differences\n";
  return wrong == 0;
}

void run_check(const Options& options, CommandContext& context) {
  if (!options.grad) throw UserError("[check] say what to check: --grad");
  for (const Graph& graph : read_graphs(options.graph, "check")) {
    const autodiff::GradientGraph made = autodiff::with_gradients(graph);
    say_notes(context, made.not_differentiable);
    if (options.print) {
      context.out << print(passes::canonicalise(passes::dce(made.graph, {}), {}));
      continue;
    }
    const auto source = autodiff::random_source(made.graph, options.seed, options.unit_inputs);
    if (!report(graph.name, autodiff::check_gradient(made, source, {.seed = options.seed}), options, context))
      context.exit_code = 1;
  }
}

}  // namespace

void add_check(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "check",
       .summary = "compare a graph's gradient with finite differences",
       .description =
           "Reads graphs in espalier's text form (.eir) and differentiates a loss: the output itself where it is a "
           "scalar, else the outputs weighted with random numbers and summed. The gradient with respect to every input "
           "and parameter is then compared with finite differences in double precision, on the ops' own references: "
           "each element where there are at most 64, random directions where there are more. Errors are relative to "
           "the largest element of a gradient.",
       .examples = {{"espalier check --grad block.eir", "a table, worst first"},
                    {"espalier check --grad block.eir --print", "the graph with its gradients as outputs, nothing is run"}},
       .exit_codes = "0 every gradient is right, 1 one is wrong or not finite, 2 the input is at fault"});
  command->add_option("GRAPH", options->graph, "a .eir file, or - for standard input");
  command->add_flag("--grad", options->grad, "check gradients");
  command->add_flag("--print", options->print,
                    "print the graph with its gradients as outputs d.NAME, in canonical form, instead of checking them");
  command->add_option("--seed", options->seed, "of the numbers that inputs, parameters and directions get")->type_name("N");
  command->add_flag("--unit-inputs", options->unit_inputs,
                    "draw inputs from [0,1], for graphs with roots and logarithms of them");
  command->add_option("--tolerance", options->tolerance, "largest relative error, default 1e-06")
      ->check(CLI::PositiveNumber)
      ->type_name("X");
  on_run(command, context, [options, &context] { run_check(*options, context); });
}

}  // namespace espalier::cli
