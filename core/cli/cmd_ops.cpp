#include <memory>

#include "core/base/error.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/cli/commands.h"
#include "core/ops/describe.h"
#include "core/ops/registry.h"

namespace espalier::cli {
namespace {

struct Options {
  std::string name;
  bool markdown = false;
};

void list_ops(CommandContext& context) {
  using terminal::Table;
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  for (const OpDef* def : ops::all()) {
    const bool composite = std::holds_alternative<DecomposeFn>(*def->decompose);
    table.row({std::string(*def->name), composite ? "composite" : "", std::string(*def->summary)});
  }
  context.out << table.text();
}

void run_ops(const Options& options, CommandContext& context) {
  if (options.markdown && !options.name.empty()) throw UserError("[ops] --markdown is the page of every op; leave NAME out");
  if (options.markdown) {
    context.out << ops::describe_all();
  } else if (options.name.empty()) {
    list_ops(context);
  } else if (const OpDef* def = ops::find(options.name)) {
    context.out << ops::describe(*def);
  } else {
    std::vector<std::string> names;
    for (const OpDef* known : ops::all()) names.emplace_back(*known->name);
    const std::string hint = did_you_mean(options.name, names);
    throw UserError("[ops] no op is called '" + printable(options.name) + "'" +
                    (hint.empty() ? "; 'espalier ops' lists them" : hint));
  }
}

}  // namespace

void add_ops(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "ops",
       .summary = "the operations that graphs are made of, and what each one means",
       .description = "Lists every op of the intermediate representation, or explains one: formula, operands with shapes, "
                      "attributes with defaults, and for a composite what it is made of. All of it comes from the op's one "
                      "definition, which the parser, the verifier and the backends' tests use too.",
       .examples = {{"espalier ops", "one line per op"}, {"espalier ops conv2d", "everything about one"}}});
  command->add_option("NAME", options->name, "an op's name; without it all are listed");
  command->add_flag("--markdown", options->markdown, "the whole reference as Markdown (docs/ops.md)");
  on_run(command, context, [options, &context] { run_ops(*options, context); });
}

}  // namespace espalier::cli
