#include "core/base/error.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/report/report.h"
#include "core/report/sweep_report.h"

namespace espalier::cli {
namespace {

struct Options {
  std::filesystem::path run;
  std::string backend = "cpu";
  std::optional<int64_t> threads;
};

void run_report(const Options& options, CommandContext& context) {
  if (const sweep::Store store(options.run); store.exists()) {
    report::write_sweep_report(sweep::collect(store));
    context.out << (options.run / "report.html").string() << '\n';
    return;
  }
  train::Services services;
  services.backend =
      choose_backend(context, options.backend,
                     options.threads ? std::vector{"threads=" + std::to_string(*options.threads)} : std::vector<std::string>{});
  services.say = [&](const std::string& line) { say_notes(context, {line}); };
  report::write_report_again(options.run, services);
  context.out << (options.run / "report.html").string() << '\n';
}

}  // namespace

void add_report(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "report",
       .summary = "write report.html of a finished run, or of a sweep, again",
       .description = "distill writes RUN/report.html at its end. This command makes it once more from the run's folder: its "
                      "metrics, its resolved recipe, its last checkpoint, and the teacher and data that the recipe names. Times "
                      "are measured again and pictures drawn again. Of a sweep's folder it makes DIR/report.html from what "
                      "the trials have so far; nothing is measured or drawn.",
       .examples = {{"espalier report run1", "run1/report.html"},
                    {"espalier report run1 --threads 1", "with times of one thread"},
                    {"espalier report s1", "of a sweep, finished or not: s1/report.html"}}});
  command->add_option("RUN", options->run, "the folder of a finished run, or of a sweep")->required()->type_name("DIR");
  command->add_option("--backend", options->backend, "cpu, reference, or another plugin's")->type_name("NAME");
  command->add_option("--threads", options->threads, "threads of the backend; the pictures do not depend on them")
      ->type_name("N");
  on_run(command, context, [options, &context] { run_report(*options, context); });
}

}  // namespace espalier::cli
