#pragma once
// The batch script of a Slurm array that runs a sweep's trials.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace espalier::sweep {

struct SlurmScript {
  std::filesystem::path folder;     // the sweep's, absolute
  std::filesystem::path cwd;        // where the sweep was started, absolute
  std::filesystem::path ids;        // one trial a line, of task 0, 1, …; empty: each task takes trials until none is left
  std::vector<std::string> worker;  // program and arguments in front of `--trial ID`
  bool threads_of_task = false;     // --threads from what Slurm gives the task
  int64_t tasks = 0, at_once = 1;
  std::string extra;  // the user's sbatch options, one line
};

/// A script for bash that a person can read and give to sbatch. A task runs its trial until that has its outcome; on Slurm's
/// USR1 (two minutes before its time is over) it has the worker write its checkpoint and goes back into the queue.
std::string to_text(const SlurmScript& script);

}  // namespace espalier::sweep
