#pragma once
// What every trial would be and need, found out before the first one runs.

#include <iosfwd>
#include <map>
#include <vector>

#include "core/sweep/work.h"

namespace espalier::sweep {

struct TrialSize {
  int64_t parameters = 0, stages = 0;
  uint64_t memory_bytes = 0;   // of a worker
  uint64_t disk_bytes = 0;     // while it runs
  uint64_t student_bytes = 0;  // of it, what stays
  double step_flops = 0;
  uint64_t shared_batch_bytes = 0;  // what [share] keeps of a batch
  int64_t held_out_batches = 0;
  std::map<std::string, std::string> inputs;  // a model's or the data's path → what is there, as train::fingerprints_of
};

/// Goes through each trial as a run goes at its start: opens models and data, asks the pruners, builds the losses, plans the
/// memory. Trials that differ only in numbers which change none of that (rates, weights) are looked at once. Faults go to
/// `errors`, each once, with a trial that has it. Cost: a few ms for a small UNet, up to seconds for SDXL, for each structure.
/// `recipe_at` gives the recipe of a trial with the places of its file, for messages. The objective, and what a stop rule looks
/// at, must be there. Those in `skip`, where given, are not looked at and have no size.
std::vector<TrialSize> size_trials(const std::vector<Trial>& trials, const std::function<train::Recipe(size_t)>& recipe_at,
                                   const std::vector<bool>& skip, const Rules& rules, const MakeServices& services,
                                   ErrorList& errors);

/// What keeps a trial from being run, "" when nothing does, as `size_trials` finds it. `looked_at`: what is known of structures,
/// added to.
std::string fault_of(const Trial& trial, const train::Recipe& recipe, const Rules& rules, const MakeServices& services,
                     std::map<std::string, std::string>& looked_at);

/// What [share] would keep on the disk of the trials that are not settled if nothing bounded it: about that much, because trials
/// count as seeing the same batches when their teacher, data, noise, seed and batch size are the same.
uint64_t shared_bytes(const std::vector<Trial>& trials, const std::vector<TrialSize>& sizes, const std::vector<bool>& settled);

/// That `jobs` workers at once fit into memory, and what all trials leave on the disk of `folder`. Faults go to `errors`, with
/// what would make it fit. Trials that are settled leave no more. Without `workers_here` the memory is another machine's, and is
/// not looked at. `shared_bytes`: what trials are going to share besides.
void check_resources(const std::vector<TrialSize>& sizes, const std::vector<bool>& settled, int64_t jobs, bool keep_checkpoints,
                     const std::filesystem::path& folder, ErrorList& errors, bool workers_here = true, uint64_t shared_bytes = 0);

/// The table of a dry run: every trial with its sizes and the time that it may take, by two real steps of the first trial and the
/// work of a step of each; the sum for `jobs` workers; what is trained once for several.
void print_trials(const std::vector<Trial>& trials, const std::vector<TrialSize>& sizes, const Rules& rules, int64_t jobs,
                  const MakeServices& services, std::ostream& out);

}  // namespace espalier::sweep
