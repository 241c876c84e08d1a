#pragma once
// What a run needs, known before it begins: memory by part, disk.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/train/device_needs.h"
#include "core/train/models.h"
#include "core/train/preview.h"
#include "core/train/trainer.h"

namespace espalier::train {

struct Needs {
  std::vector<std::pair<std::string, uint64_t>> memory;  // part → bytes, at the moment that needs most
  std::vector<std::pair<std::string, uint64_t>> device;  // the same of a device with memory of its own; empty where there is none
  bool pruning = false;                                  // that is when a stage prunes, and not when one trains
  uint64_t disk_bytes = 0;                               // checkpoints that exist at once, and the students at the end
  uint64_t student_bytes = 0;                            // of them, what stays: the students
  uint64_t shared_batch_bytes = 0;                       // what services.teacher_values keeps of a batch
  double step_flops = 0;                                 // of forward and backward of the largest stage
  Work step_work;                                        // of the same
  uint64_t memory_bytes() const;
  uint64_t device_bytes() const;
};

/// Memory, the larger of two. Of training: the student's weights, gradients, optimizer and average; values of the training graphs
/// and of the validation graphs, and of the teacher's own where services.teacher_values takes it out of them; the teacher's
/// weights in their files' types and the copies of them that the backend says it will keep. Of pruning: the students before and
/// after a stage's removals. In both, what the program holds already. On a device with memory of its own the state, the values
/// and the teacher are there, and the host has the student's weights, optimizer and average as they go into checkpoints. Errors:
/// UserError when the backend has no kernels for [train] precision.
Needs needs_of(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages, const Services& services,
               const Losses& losses, data::Source& source);

/// The parts and their sum, a line each.
std::string memory_table(const std::vector<std::pair<std::string, uint64_t>>& parts);

/// Errors: UserError with the table when the sum is more than can be had, of the host or of the backend's device, with what would
/// make it smaller.
void require_memory(const Needs& needs, const std::shared_ptr<lower::Backend>& backend);

}  // namespace espalier::train
