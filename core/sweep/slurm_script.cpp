#include "core/sweep/slurm_script.h"

#include <fmt/format.h>

#include "core/base/child.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;

/// A path in a place where sbatch reads %x as something of the job.
std::string pattern(const fs::path& path) {
  std::string text;
  for (const char c : path.string()) text += c == '%' ? "%%" : std::string(1, c);
  return text;
}

constexpr const char* kHead = R"sh(#!/bin/bash
# Trials of the sweep in {folder}.
# `espalier sweep --launcher slurm` has submitted this; by hand: sbatch {self}
#SBATCH --job-name=espalier
#SBATCH --array=0-{last}%{at_once}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
#SBATCH --chdir={cwd}
#SBATCH --output={output}
{extra}
folder={folder}
task="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
say() {{ printf '%s %s %s\n' "$(date +%FT%T)" "$task" "$1"; }}
)sh";

constexpr const char* kOneTrial = R"sh(
# Task k runs the trial in line k + 1.
trial=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {ids})
[ -n "$trial" ] || {{ say "no trial for this task in "{ids}; exit 2; }}
settled() {{ [ -e "$folder/state/$trial.done" ]; }}
worker() {{ exec {worker} --trial "$trial" >>"$folder/state/$trial.log" 2>&1; }}
nothing_for_me() {{ sleep 5; }}  # another has the trial, or makes the stages that it begins with
)sh";

constexpr const char* kAnyTrial = R"sh(
# A trial goes on or stops by what others have reached: each task takes one after another until none is left.
trial="the next ones"
settled() {{ false; }}
worker() {{ exec {worker}; }}
nothing_for_me() {{ say "no trial is left to take"; exit 0; }}
)sh";

constexpr const char* kTail = R"sh(
asked='' child='' broken=0
ask() { asked=$1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; }
trap 'ask requeue' USR1  # its time is nearly over
trap 'ask stop' TERM     # scancel

# Ends this task when it was asked to; the worker has written its checkpoint by then.
end_if_asked() {
  case $asked in
    requeue)
      say "time is nearly over: $trial goes on from its checkpoint after a requeue"
      scontrol requeue "$task" && sleep 30  # Slurm ends this script meanwhile
      exit 3 ;;
    stop) say "stopped: $trial goes on from its checkpoint when it is submitted again"; exit 3 ;;
  esac
}

say "start ${SLURM_RESTART_COUNT:-0} on $(hostname): $trial"
until settled; do
  end_if_asked
  worker &
  child=$!
  wait "$child"; code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done  # a signal ends a wait early
  child=''
  settled && break
  end_if_asked
  case $code in
    0) nothing_for_me ;;
    1) say "an attempt has failed; a worker gives up by itself after [workers] retries" ;;
    2|3) say "the worker ended with exit code $code"; exit "$code" ;;
    *)
      broken=$((broken + 1))
      say "the worker ended with exit code $code"
      [ "$broken" -lt 10 ] || { say "given up"; exit 1; }
      sleep 1 ;;
  esac
done
say "$trial: done"
)sh";

}  // namespace

std::string to_text(const SlurmScript& script) {
  std::string worker = shell_line(script.worker);
  if (script.threads_of_task) worker += " --threads \"${SLURM_CPUS_ON_NODE:-1}\"";
  const std::string head = fmt::format(fmt::runtime(kHead), fmt::arg("folder", shell_quoted(script.folder.string())),
                                       fmt::arg("self", shell_quoted((script.folder / "slurm" / "array.sh").string())),
                                       fmt::arg("last", script.tasks - 1), fmt::arg("at_once", script.at_once),
                                       fmt::arg("cwd", shell_quoted(script.cwd.string())),
                                       fmt::arg("output", shell_quoted(pattern(script.folder / "slurm") + "/%A_%a.log")),
                                       fmt::arg("extra", script.extra.empty() ? "" : "#SBATCH " + script.extra + "\n"));
  const std::string body = fmt::format(fmt::runtime(script.ids.empty() ? kAnyTrial : kOneTrial), fmt::arg("worker", worker),
                                       fmt::arg("ids", shell_quoted(script.ids.string())));
  return head + body + kTail;
}

}  // namespace espalier::sweep
