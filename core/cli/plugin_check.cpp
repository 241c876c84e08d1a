#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/cli/plugin_commands.h"
#include "sdk/validator/check.h"

namespace espalier::cli {
namespace {

struct Options {
  validator::CheckOptions check;
  bool json = false;
};

void print_json(const validator::CheckResult& result, const Options& options, CommandContext& context) {
  nlohmann::ordered_json out{
      {"file", options.check.file.string()}, {"seed", options.check.seed}, {"passed", result.passed()}, {"ms", result.ms}};
  out["tests"] = nlohmann::ordered_json::array();
  for (const validator::TestRow& row : result.rows)
    out["tests"].push_back({{"id", row.id},
                            {"name", row.name},
                            {"component", row.component},
                            {"outcome", validator::outcome_text(row.outcome)},
                            {"text", row.text},
                            {"ms", row.ms}});
  context.out << out.dump(2) << '\n';
}

void print_text(const validator::CheckResult& result, const Options& options, CommandContext& context) {
  using terminal::Table;
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  table.header({"test", "outcome", "component", "what it promises"});
  std::map<validator::Outcome, size_t> counts;
  double inside = 0;
  for (const validator::TestRow& row : result.rows) {
    ++counts[row.outcome];
    inside += row.ms;
    if (row.outcome == validator::Outcome::kPass && context.verbosity < 1) continue;
    table.row(
        {row.id, validator::outcome_text(row.outcome), row.component, row.name + (row.text.empty() ? "" : ": " + row.text)});
  }
  if (table.rows() > 0) context.out << table.text() << '\n';
  std::string summary;
  for (const auto& [outcome, count] : counts)
    summary += fmt::format("{}{} {}", summary.empty() ? "" : ", ", count, validator::outcome_text(outcome));
  context.out << (result.passed() ? "passes: " : "does not pass: ") << summary
              << fmt::format(" ({:.0f} ms, {:.0f} of them in tests; seed {})\n", result.ms, inside, options.check.seed);
}

}  // namespace

void add_plugin_check(CLI::App& plugin, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      plugin, context,
      {.name = "check",
       .summary = "whether a plugin keeps the contracts: each test in a process of its own",
       .description =
           "Tests a bare .esp.so against what the headers say: the file, its tables, parameters, memory, threads, and what "
           "its kind promises (plans that hold, gradients, kernels that equal the reference). A test that crashes, hangs or "
           "eats memory is a row like any other. -v lists the tests that passed too.",
       .examples = {{"espalier plugin check build/mine.esp.so", "all tests"},
                    {"espalier plugin check build/mine.esp.so --only ESP-O02 --in-process", "one of them, under a debugger"},
                    {"espalier plugin check build/mine.esp.so --fuzz 60",
                     "and a minute of random parameters for each component"}},
       .exit_codes = "0 it passes (warnings do not count), 1 it does not, 2 the input is at fault"});
  command->add_option("FILE", options->check.file, "the plugin")->required()->type_name("FILE");
  command->add_option("--seed", options->check.seed, "of random numbers: the same seed, the same tests")->type_name("N");
  command->add_option("--only", options->check.only, "tests whose number or promise matches")->type_name("REGEX");
  command->add_option("--fuzz", options->check.fuzz_seconds, "seconds of random parameters for each component")
      ->type_name("SECONDS");
  command->add_option("--timeout", options->check.seconds, "for each test; default 20")->type_name("SECONDS");
  command->add_flag("--in-process", options->check.in_process, "no processes: for a debugger; a crash is this program's");
  command->add_flag("--json", options->json, "print one JSON object");
  on_run(command, context, [options, &context] {
    if (!std::filesystem::exists(options->check.file))
      throw UserError("[plugin check] " + options->check.file.string() + " is not there");
    if (options->check.seconds < 1 || options->check.fuzz_seconds < 0)
      throw UserError("[plugin check] --timeout must be at least 1, --fuzz at least 0");
    options->check.file = std::filesystem::absolute(options->check.file);
    const validator::CheckResult result = validator::check_plugin(options->check);
    options->json ? print_json(result, *options, context) : print_text(result, *options, context);
    if (!result.passed()) context.exit_code = 1;
  });
}

}  // namespace espalier::cli
