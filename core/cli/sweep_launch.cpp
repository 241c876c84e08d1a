#include "core/cli/sweep_launch.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/sweep/launch_command.h"
#include "core/sweep/launch_slurm.h"

namespace espalier::cli {

namespace fs = std::filesystem;

void add_launch_options(CLI::App* command, LaunchOptions& options) {
  command
      ->add_option("--launcher", options.launcher,
                   "where workers run: local, command (each by --command), or slurm (an array job)")
      ->type_name("NAME");
  command
      ->add_option("--command", options.command,
                   "with --launcher command: a line for /bin/sh, as in 'nice {command}' or 'ssh node{slot} {remote}'; also {id}, "
                   "{cwd}")
      ->type_name("LINE");
  command
      ->add_option("--slurm", options.slurm, "with --launcher slurm: more of sbatch's options, as in '--partition=gpu --time=60'")
      ->type_name("OPTIONS");
}

void check_launch(const LaunchOptions& options, ErrorList& errors) {
  const std::vector<std::string> known = {"local", "command", "slurm"};
  if (std::find(known.begin(), known.end(), options.launcher) == known.end())
    errors.add("[sweep] --launcher '" + printable(options.launcher) + "' is none of " + join(known, ", ") +
               did_you_mean(options.launcher, known));
  if (!options.command.empty() && options.launcher != "command")
    errors.add("[sweep] --command says how --launcher command starts a worker; this is --launcher " +
               printable(options.launcher));
  if (!options.slurm.empty() && options.launcher != "slurm")
    errors.add("[sweep] --slurm has options of --launcher slurm; this is --launcher " + printable(options.launcher));
  if (options.launcher == "command") sweep::check_template(options.command, errors);
  if (options.launcher == "slurm") sweep::check_slurm(options.slurm, errors);
}

std::unique_ptr<sweep::Elsewhere> use_launcher(const LaunchOptions& options, const sweep::Store& store, const sweep::Rules& rules,
                                               const std::vector<std::string>& work, bool threads_of_task,
                                               sweep::ControlOptions& control) {
  const fs::path cwd = fs::current_path();
  if (options.launcher == "command") {
    control.signals = Signals::kGroup;
    control.worker = [=, inner = control.worker](const sweep::Trial& trial, int64_t slot) {
      return sweep::by_template(options.command, inner(trial, slot), slot, trial.id, cwd);
    };
  }
  if (options.launcher != "slurm") return nullptr;
  sweep::SlurmScript script;
  script.folder = fs::absolute(store.folder()).lexically_normal();
  script.cwd = cwd;
  script.worker = work;
  script.threads_of_task = threads_of_task;
  script.extra = options.slurm;
  auto array = std::make_unique<sweep::SlurmArray>(script, control.jobs, rules.stop.use == "asha", control.say);
  control.elsewhere = array.get();
  return array;
}

}  // namespace espalier::cli
