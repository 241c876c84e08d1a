#include "core/train/trained_noise.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/files.h"
#include "core/base/text.h"
#include "core/model/config_fields.h"
#include "core/model/scheduler_file.h"

namespace espalier::train {
namespace {

/// The field's text, which must be one of `choices`: others are noise that no recipe can train on.
std::string choice(model::FieldReader& read, const char* field, const std::string& otherwise,
                   const std::vector<std::string>& choices) {
  std::string value = read.string(field).value_or(otherwise);
  if (std::find(choices.begin(), choices.end(), value) == choices.end())
    read.fault(field, fmt::format("the teacher's '{}' is \"{}\"; a recipe trains with {}", field, printable(value, 60),
                                  join(choices, ", ")));
  return value;
}

void beta(model::FieldReader& read, const char* field, double& to) {
  to = read.number(field).value_or(to);
  if (!(to > 0 && to < 1)) read.fault(field, fmt::format("'{}' must lie between 0 and 1, not {}", field, to));
}

std::string_view name_of_prediction(const TrainedNoise& noise) { return noise.predicts_v ? "v_prediction" : "epsilon"; }

}  // namespace

std::optional<TrainedNoise> trained_noise(const std::filesystem::path& model, ErrorList& errors) {
  const auto file = model::find_scheduler_config(model);
  if (!file) return std::nullopt;
  const size_t faults = errors.messages().size();
  try {
    const io::JsonValue object = io::parse_json(read_text(*file), file->string());
    if (!object.is_object())
      throw UserError(
          fmt::format("{}: a scheduler config is an object, not {}", object.place(file->string()), object.kind_name()));
    model::FieldReader read(object, file->string(), errors);
    TrainedNoise noise{.file = *file};
    noise.schedule.beta_start = 0.0001;
    noise.schedule.beta_end = 0.02;
    const std::string kind = read.string("_class_name").value_or("");
    if (kind.starts_with("FlowMatch") || kind.starts_with("EDM")) {
      read.fault("_class_name",
                 fmt::format("the teacher's noise is that of a {}; a recipe trains with betas", printable(kind, 60)));
      return std::nullopt;
    }
    noise.predicts_v = choice(read, "prediction_type", "epsilon", {"epsilon", "v_prediction"}) == "v_prediction";
    noise.schedule.name = choice(read, "beta_schedule", "linear", {"scaled_linear", "linear", "squaredcos_cap_v2"});
    beta(read, "beta_start", noise.schedule.beta_start);
    beta(read, "beta_end", noise.schedule.beta_end);
    const int64_t steps = read.integer("num_train_timesteps", 1, 1'000'000).value_or(noise.schedule.steps);
    if (steps != noise.schedule.steps)
      read.fault("num_train_timesteps",
                 fmt::format("the teacher has {} timesteps; a recipe trains with {}", steps, noise.schedule.steps));
    if (read.given("trained_betas")) read.fault("trained_betas", "the teacher has betas of its own; a recipe has none");
    if (read.boolean("rescale_betas_zero_snr").value_or(false))
      read.fault("rescale_betas_zero_snr", "the teacher's betas are rescaled to zero SNR; those of a recipe are not");
    return errors.messages().size() == faults ? std::optional(noise) : std::nullopt;
  } catch (const UserError& error) {
    errors.add(error.what());
    return std::nullopt;
  }
}

std::vector<NoiseDifference> noise_differences(const TrainedNoise& ours, const TrainedNoise& theirs) {
  std::vector<NoiseDifference> found;
  const auto compare = [&](const char* key, const std::string& a, const std::string& b) {
    if (a != b) found.push_back({key, a, b});
  };
  compare("prediction_type", fmt::format("\"{}\"", name_of_prediction(ours)), fmt::format("\"{}\"", name_of_prediction(theirs)));
  compare("schedule", '"' + ours.schedule.name + '"', '"' + theirs.schedule.name + '"');
  if (ours.schedule.name != theirs.schedule.name || ours.schedule.name == "squaredcos_cap_v2") return found;
  // Shortest text that reads back as the same number: equal texts are equal numbers.
  compare("beta_start", fmt::format("{}", ours.schedule.beta_start), fmt::format("{}", theirs.schedule.beta_start));
  compare("beta_end", fmt::format("{}", ours.schedule.beta_end), fmt::format("{}", theirs.schedule.beta_end));
  return found;
}

}  // namespace espalier::train
