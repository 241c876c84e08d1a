#pragma once
// The options of `espalier sweep` that say where its workers run.

#include <memory>

#include "core/cli/commands.h"
#include "core/sweep/control.h"

namespace espalier::cli {

struct LaunchOptions {
  std::string launcher = "local";
  std::string command, slurm;
  bool here() const { return launcher == "local"; }
};

void add_launch_options(CLI::App* command, LaunchOptions& options);
/// Faults: options of another launcher, a template or a cluster that is not one.
void check_launch(const LaunchOptions& options, ErrorList& errors);

/// Makes `control` start its workers so, or hand its trials over to what is returned, which must outlive it. `work`: the words of
/// `espalier work DIR` without a trial. `threads_of_task`: they have no --threads, and each task uses what the cluster gives it.
std::unique_ptr<sweep::Elsewhere> use_launcher(const LaunchOptions& options, const sweep::Store& store, const sweep::Rules& rules,
                                               const std::vector<std::string>& work, bool threads_of_task,
                                               sweep::ControlOptions& control);

}  // namespace espalier::cli
