#pragma once
// What drawn pictures and latents say about themselves, and latents as a file.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/data/cache.h"
#include "core/exec/tensor.h"
#include "core/sample/scheduler_config.h"

namespace espalier::sample {

/// Everything that decides what the pictures show, but the rows.
struct Recipe {
  std::string program, model;  // "espalier 0.1.0"; what MODEL was
  std::string sampler;
  SchedulerConfig scheduler;
  size_t steps = 0;
  double eta = 0, guidance = 1;
  uint64_t seed = 0;
  std::optional<uint64_t> random_weights;
  int64_t columns = 0, scale = 0;
};

/// "euler, 25 steps, guidance 5, seed 0, v_prediction, squaredcos_cap_v2".
std::string recipe_line(const Recipe& recipe);

/// One line of JSON: the fields, the scheduler config, and index, id and caption of every row, in the order of the pictures.
/// Guarantees: valid UTF-8 whatever the captions hold.
std::string recipe_json(const Recipe& recipe, const data::Cache& cache, std::span<const size_t> rows);

/// The key of `recipe_json` in a PNG's texts and a safetensors file's metadata.
inline constexpr const char* kRecipeKey = "espalier.sample";

/// Writes latents [1,H,W,C] of each of `rows` as one tensor `latents` [N,C,H,W]; of several sizes as `latents.HxW` each, with the
/// ids of its rows as metadata `latents.HxW.ids`. Errors: those of SafetensorsWriter.
void write_latents(const std::filesystem::path& file, const data::Cache& cache, std::span<const size_t> rows,
                   std::span<const exec::FloatTensor> latents, const std::string& recipe);

}  // namespace espalier::sample
