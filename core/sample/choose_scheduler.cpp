#include "core/sample/choose_scheduler.h"

#include <fmt/format.h>

#include "core/model/scheduler_file.h"

namespace espalier::sample {

SchedulerConfig scheduler_of_training(const distill::NoiseSchedule& noise, Prediction prediction) {
  SchedulerConfig config;
  config.class_name = "DDIMScheduler";
  config.noise = noise;
  config.prediction = prediction;
  config.spacing = Spacing::kTrailing;
  config.clip_sample = false;
  return config;
}

ChosenScheduler choose_scheduler(const std::filesystem::path& model, const SchedulerChoice& choice) {
  ChosenScheduler chosen;
  chosen.file = choice.file.empty() ? model::find_scheduler_config(model).value_or("") : choice.file;
  SchedulerConfig& config = chosen.config;
  config = chosen.file.empty() ? scheduler_of_training({}, Prediction::kEpsilon) : read_scheduler_config(chosen.file);
  if (!choice.prediction_type.empty()) config.prediction = prediction_of(choice.prediction_type, "--prediction-type");
  if (!choice.schedule.empty()) config.noise.name = schedule_of(choice.schedule, "--schedule");
  if (!choice.spacing.empty()) config.spacing = spacing_of(choice.spacing, "--spacing");
  if (chosen.file.empty() && (choice.prediction_type.empty() || choice.schedule.empty()))
    chosen.notes.push_back(
        fmt::format("there is no scheduler_config.json with {}: {} prediction and the {} schedule are assumed (--scheduler, "
                    "--prediction-type, --schedule)",
                    model.string(), name_of(config.prediction), config.noise.name));
  return chosen;
}

}  // namespace espalier::sample
