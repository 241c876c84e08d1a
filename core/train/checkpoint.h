#pragma once
// Checkpoints of a run: RUN/checkpoints/step-00000500-stage-000-attempt-000/{state.safetensors,state.json,manifest.json}, each
// whole or not there.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/train/metrics.h"
#include "core/train/student.h"

namespace espalier::train {

/// How far a run is.
struct Position {
  int64_t step = 0;     // updates made, those of failed stages included: number of the next row and of its batch
  int64_t planned = 0;  // updates that count: what the learning rate goes by, and the optimizer's own step number
  int64_t stage = 0, stage_step = 0;
  int64_t attempt = 0;  // of the stage: how often its gate has failed
  bool pruned = false;  // the stage's removals are done
};

/// What happened at a stage, for the report.
struct StageRecord {
  int64_t stage = 0, attempt = 0, step = 0;  // step: at which it began
  std::vector<std::string> removed;          // paths in the student before it
  std::string gate;                          // "val/output below 0.02"; empty without one
  std::optional<float> value;                // of the metric at the end
  std::string outcome;                       // "met", "failed: rolled back", …; empty while it runs
};

/// Where the schedule of a pruner stands.
struct PrunerState {
  int64_t schedule = -1;  // the first of its stages; -1: none was asked
  int32_t asked = 0;      // how often
  bool done = false;
  std::string bytes;  // its own, of any kind
};

struct RunState {
  Position position;
  MetricsMark mark;
  std::vector<StageRecord> history;
  NamedNumbers last_row;         // of the newest step: a gate may ask for it
  NamedNumbers last_validation;  // the newest: a pruner may ask for it
  PrunerState pruner;
  int64_t validated = -1;                     // the step of the newest validation row
  std::map<std::string, std::string> inputs;  // fingerprints_of
};

/// Bytes of one checkpoint of `student`, headers aside.
uint64_t checkpoint_bytes(const Student& student);

/// Writes it. Guarantees: appears whole or not at all; nothing older is touched. Errors: UserError (space, the system's reason).
void write_checkpoint(const std::filesystem::path& folder, const Student& student, const RunState& state);

/// Checks the files of a checkpoint against its manifest. "" when good, else what is wrong: a file that is not there, or other
/// bytes than were written. Errors: UserError for one that cannot be read now, which says nothing of what it holds.
std::string checkpoint_fault(const std::filesystem::path& folder);

/// Reads what `write_checkpoint` wrote; `base` is what the run's plans are on.
/// Errors: UserError for a file that is damaged or of another run.
struct LoadedCheckpoint {
  std::unique_ptr<Student> student;
  RunState state;
};
LoadedCheckpoint read_checkpoint(const std::filesystem::path& folder, const Base& base, const OptimizerSpec& optimizer,
                                 bool with_ema);

/// RUN/checkpoints.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(const std::filesystem::path& run) : folder_(run / "checkpoints") {}
  std::filesystem::path of(const Position& position) const;
  std::filesystem::path of_stage(int64_t stage) const;  // the state before a stage, for its rollback
  /// The newest that is good; null where there is none at all. Newer ones are damaged: each is named in `notes` and, with
  /// `set_aside`, renamed to damaged-…, never removed. Errors: UserError when there are some and none is good.
  std::optional<std::filesystem::path> newest_good(std::vector<std::string>& notes, bool set_aside) const;
  /// Removes all but the newest `keep`, and what a killed process left half-removed.
  void rotate(int64_t keep) const;
  void remove(const std::filesystem::path& checkpoint) const;
  /// Of all that lies there.
  uint64_t bytes() const;

 private:
  std::vector<std::filesystem::path> steps() const;  // oldest first
  std::filesystem::path folder_;
};

}  // namespace espalier::train
