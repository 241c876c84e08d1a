#pragma once
// Which noise schedule a model is sampled with.

#include <filesystem>
#include <string>
#include <vector>

#include "core/sample/scheduler_config.h"

namespace espalier::sample {

/// What a command line may say about it; empty: nothing.
struct SchedulerChoice {
  std::filesystem::path file;                      // --scheduler
  std::string prediction_type, schedule, spacing;  // override what the file says
};

struct ChosenScheduler {
  SchedulerConfig config;
  std::filesystem::path file;      // where it is from; empty: assumed
  std::vector<std::string> notes;  // what was assumed
};

/// How a model that was trained with this noise is sampled where nothing else is said, and what a student's folder says: DDIM,
/// trailing spacing, nothing clipped.
SchedulerConfig scheduler_of_training(const distill::NoiseSchedule& noise, Prediction prediction);

/// The file that was named, else the model's own (model::find_scheduler_config), else scheduler_of_training of a recipe's
/// default [diffusion]: epsilon, scaled_linear from 0.00085 to 0.012.
/// Errors: UserError with every fault of the file or the choice.
ChosenScheduler choose_scheduler(const std::filesystem::path& model, const SchedulerChoice& choice);

}  // namespace espalier::sample
