#pragma once
// What a run needs from outside: the backend, and the plugins that its recipe names. `cli` fills it in; core links no plugin.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "core/distill/loss.h"
#include "core/lower/backend.h"
#include "core/prune/strategy.h"
#include "core/train/metric.h"
#include "core/train/metrics.h"
#include "core/train/recipe.h"
#include "core/train/teacher_values.h"

namespace espalier::train {

struct FinishedRun;

/// What a program that looks after many runs is told and decides. All may be empty.
struct RunWatcher {
  /// After each validation, with the updates made and its numbers: false stops the run there.
  std::function<bool(int64_t step, const NamedNumbers& numbers)> go_on = {};
  /// `stages` are behind the run, and `checkpoint` is the state after them.
  std::function<void(size_t stages, const std::filesystem::path& checkpoint)> stage_done = {};
};

struct Services {
  std::shared_ptr<lower::Backend> backend;  // null: the built-in reference
  std::function<std::unique_ptr<distill::LossStrategy>(const PluginUse&)> make_loss;
  std::function<std::unique_ptr<prune::PruneStrategy>(const PluginUse&)> make_pruner;
  std::function<std::unique_ptr<MetricStrategy>(const PluginUse&)> make_metric = {};
  std::function<void(const std::string&)> say;          // a line for people
  std::function<void(const FinishedRun&)> report = {};  // writes RUN/report.html; empty: none is written
  RunWatcher watcher = {};
  std::optional<TeacherValuesSpec> teacher_values = {};  // a folder that runs on the same batches share
};

}  // namespace espalier::train
