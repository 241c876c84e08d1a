#pragma once
// What a run needs, known before it begins: memory by part, disk.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/train/models.h"
#include "core/train/preview.h"
#include "core/train/trainer.h"

namespace espalier::train {

struct Needs {
  std::vector<std::pair<std::string, uint64_t>> memory;  // part → bytes, at the moment that needs most
  bool pruning = false;                                  // that is when a stage prunes, and not when one trains
  uint64_t disk_bytes = 0;                               // checkpoints that exist at once, and the students at the end
  uint64_t student_bytes = 0;                            // of them, what stays: the students
  uint64_t shared_batch_bytes = 0;                       // what services.teacher_values keeps of a batch
  double step_flops = 0;                                 // of forward and backward of the largest stage
  uint64_t memory_bytes() const;
};

/// Memory, the larger of two. Of training: the student's weights, gradients, optimizer and average; values of the training graphs
/// and of the validation graphs, and of the teacher's own where services.teacher_values takes it out of them; the teacher's
/// weights in their files' types and the copies of them that the backend says it will keep. Of pruning: the students before and
/// after a stage's removals. In both, what the program holds already.
Needs needs_of(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages, const Services& services,
               const Losses& losses, data::Source& source);

/// The parts and their sum, a line each.
std::string memory_table(const Needs& needs);

/// Errors: UserError with the table when the sum is more than can be had, with what would make it smaller.
void require_memory(const Needs& needs);

}  // namespace espalier::train
