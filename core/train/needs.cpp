#include "core/train/needs.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/memory_limit.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/train/joint.h"

namespace espalier::train {

uint64_t Needs::memory_bytes() const {
  uint64_t sum = 0;
  for (const auto& [part, bytes] : memory) sum += bytes;
  return sum;
}

Needs needs_of(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages, const Services& services,
               const Losses& losses, data::Source& source) {
  const auto largest = std::max_element(stages.begin(), stages.end(),
                                        [](const StagePreview& a, const StagePreview& b) { return a.parameters < b.parameters; });
  const Structure& structure = largest->after;
  const bool with_ema = recipe.train.ema_decay.has_value();
  const model::BlockTree* teacher = models.teacher ? &models.teacher->tree : nullptr;
  uint64_t training = 0, validation = 0;
  for (const data::BatchShape& shape : source.buckets()) {
    const distill::JointGraph joint = joint_graph(recipe, losses, structure, teacher, shape, nullptr);
    training += training_calls(joint, training_options(recipe.train), services.backend).arena_bytes;
    if (source.validation_batches() > 0) validation += validation_calls(joint, services.backend).arena_bytes;
  }
  Needs needs;
  needs.memory = {{"student: weights, gradients, optimizer" + std::string(with_ema ? ", average" : ""),
                   training_bytes(structure.tree, recipe.train.optimizer, with_ema)},
                  {"values of forward and backward", training}};
  if (validation > 0) needs.memory.emplace_back("values of validation", validation);
  if (models.teacher) {
    uint64_t bytes = 0;
    for (const std::string& name : models.teacher->weights->names()) bytes += models.teacher->weights->get(name).type.bytes();
    needs.memory.emplace_back("teacher's weights", bytes);
  }
  const uint64_t gradients = static_cast<uint64_t>(largest->parameters) * 4;
  const uint64_t checkpoint = training_bytes(structure.tree, recipe.train.optimizer, with_ema) - gradients;
  const bool keeps_before =
      std::any_of(recipe.stages.begin(), recipe.stages.end(), [](const StageSpec& s) { return s.until.has_value(); });
  needs.disk_bytes = checkpoint * static_cast<uint64_t>(recipe.train.keep_checkpoints + 1 + (keeps_before ? 1 : 0)) +
                     static_cast<uint64_t>(stages.back().parameters) * size_of(recipe.train.save_dtype) * (with_ema ? 2 : 1);
  return needs;
}

std::string memory_table(const Needs& needs) {
  terminal::Table table({terminal::Table::Align::kLeft, terminal::Table::Align::kRight});
  for (const auto& [part, bytes] : needs.memory) table.row({part, human_bytes(bytes)});
  table.row({"sum", human_bytes(needs.memory_bytes())});
  return table.text();
}

void require_memory(const Needs& needs) {
  const uint64_t available = available_memory_bytes();
  if (needs.memory_bytes() <= available) return;
  throw UserError(
      fmt::format("[memory] the run needs at least {}, and {} can be had:\n{}a smaller batch_size (with accumulate), "
                  "recompute_above_mib, no [train.ema], or teacher_weights = \"mapped\" need less",
                  human_bytes(needs.memory_bytes()), human_bytes(available), memory_table(needs)));
}

}  // namespace espalier::train
