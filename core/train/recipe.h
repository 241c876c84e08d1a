#pragma once
// recipe.toml: one run, from the teacher to the student. Read strictly, all faults at once.

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/distill/noise_schedule.h"
#include "core/io/toml.h"
#include "core/ir/dtype.h"

namespace espalier::train {

/// A plugin that a recipe uses: its id, and the table whose other keys are its parameters.
struct PluginUse {
  std::string id;
  const toml::table* table = nullptr;  // in Recipe::root
  std::string place;                   // file:line:column of the id
  /// Of `use = "file:my_loss.eir"` and `use = "exec:my_pruner.py"`: the path, absolute. Empty: `id` is a plugin's.
  std::filesystem::path file;
};

/// A [[loss]].
struct LossSpec {
  PluginUse plugin;
  std::string name;  // key of its terms; empty: the loss's own
  double weight = 1;
  std::vector<std::pair<std::string, double>> weights;  // glob over its terms' keys → factor, on top of `weight`
  int64_t start = 0, end = 0;                           // steps [start, end) in which it counts; end 0: to the end
  std::vector<size_t> stages;                           // of which it is a loss; empty: of all
  bool in_stage(size_t stage) const;
};

/// A [[metric]]: measured at each validation.
struct MetricSpec {
  PluginUse plugin;
  std::string name;                   // after "val/"; empty: the metric's own
  int64_t pictures = 16, steps = 20;  // of one that reads pictures: how many held-out rows, DDIM steps
  double guidance = 1;
};

/// Defaults are those of PyTorch's AdamW; adafactor's differ, and are those of torch.optim.Adafactor.
struct OptimizerSpec {
  std::string use = "adamw";  // adamw | adamw8bit | adafactor
  double lr = 1e-4;
  double eps = 1e-8, weight_decay = 1e-2;
  std::array<double, 2> betas{0.9, 0.999};                  // adamw, adamw8bit
  double beta2_decay = -0.8, min_rms = 1e-3, clip_rms = 1;  // adafactor
  bool factored() const { return use == "adafactor"; }
};

struct LrSchedule {
  std::string use = "constant";  // constant | cosine
  int64_t warmup = 0;            // steps from 0 to the full rate
  double final_share = 0;        // cosine: what is left of lr at the end
  bool per_stage = false;        // begins anew with each stage
};

/// Checked at the end of a stage: met when the metric is below (or above) a number.
struct Gate {
  std::string metric;  // "val/output"
  std::optional<double> below, above;
};

enum class OnFail { kRollback, kContinue, kStop };

/// A [[stage]]: prune, then train.
struct StageSpec {
  std::optional<PluginUse> prune;
  int64_t steps = 0;
  std::optional<std::filesystem::path> teacher;  // from here on
  std::optional<Gate> until;
  OnFail on_fail = OnFail::kRollback;
};

struct DataSpec {
  std::string source;  // tensors | cache
  std::vector<std::filesystem::path> files;
  std::filesystem::path path;
  int64_t validation_rows = 0;
  double caption_dropout = 0;
  bool shuffle = true;
};

struct TrainSpec {
  int64_t steps = 0;  // of the one stage that a recipe without [[stage]] has
  int64_t batch_size = 1, accumulate = 1;
  uint64_t seed = 0;
  std::optional<double> clip_norm;
  DType save_dtype = DType::kF32;
  DType precision = DType::kF32;  // bf16: the UNets are computed in it; masters, losses and updates are f32 all the same
  int64_t checkpoint_every = 500, keep_checkpoints = 2;
  int64_t validate_every = 0;                  // 0: at the end of stages only
  bool teacher_mapped = false;                 // teacher_weights = "mapped": read from the file at each use, least memory
  std::optional<int64_t> recompute_above_mib;  // values of a step that take more are computed again; 0: all that helps
  OptimizerSpec optimizer;
  LrSchedule lr_schedule;
  std::optional<double> ema_decay;
};

struct Recipe {
  std::filesystem::path file;
  std::shared_ptr<toml::table> root;  // shared: PluginUse points into it, and copies of a recipe are cheap
  std::optional<std::filesystem::path> teacher, student;
  bool random_student = false;
  DataSpec data;
  int64_t calibration_batches = 8;  // of the data, for pruners that look at what units do
  bool predicts_v = false;
  distill::NoiseSchedule schedule;
  std::vector<LossSpec> losses;
  std::vector<MetricSpec> metrics;
  TrainSpec train;
  std::vector<StageSpec> stages;  // never empty: without [[stage]] one that prunes nothing
  int64_t planned_steps() const;
};

/// Keys of a [[loss]], of `prune` and of a [[metric]] that are not the plugin's parameters.
const std::vector<std::string>& loss_host_keys();
const std::vector<std::string>& prune_host_keys();
const std::vector<std::string>& metric_host_keys();

/// Reads `file` with each of `sets` ("train.steps=10", "stage.0.prune.use=…") laid over it. Paths become absolute.
///
/// Faults go to `errors`, so that those of the plugins' parameters can join them: unknown keys (nearest), wrong types, ranges,
/// missing keys, paths that are not there, other noise than the teachers' scheduler_config.json have (trained_noise.h), from
/// which [diffusion] also takes what it leaves out. Errors: UserError at once for a file that cannot be read or is no TOML.
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& sets, ErrorList& errors);

/// The same of a table that was read from `file` and has nodes of other files laid over it: a path in one of these is relative to
/// the file that its node is of.
Recipe recipe_of_table(const std::filesystem::path& file, std::shared_ptr<toml::table> root, ErrorList& errors);

/// The recipe as TOML with every default of the host filled in, keys sorted, paths absolute: equal recipes give equal text.
std::string resolved_text(const Recipe& recipe);

}  // namespace espalier::train
