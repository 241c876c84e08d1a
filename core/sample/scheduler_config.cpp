// A field is read, held at its default, or another scheduler's; everything else is refused, because a schedule that is not
// the training's draws other pictures without any sign of it.

#include "core/sample/scheduler_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/model/config_fields.h"

namespace espalier::sample {
namespace {

const std::vector<std::string> kPredictions{"epsilon", "v_prediction", "sample"};
const std::vector<std::string> kSpacings{"leading", "trailing", "linspace"};
const std::vector<std::string> kSchedules{"linear", "scaled_linear", "squaredcos_cap_v2"};
const std::vector<std::string> kRead{"num_train_timesteps", "beta_start",        "beta_end",          "beta_schedule",
                                     "prediction_type",     "timestep_spacing",  "steps_offset",      "set_alpha_to_one",
                                     "clip_sample",         "clip_sample_range", "final_sigmas_type", "rescale_betas_zero_snr"};

struct Inert {
  std::string name;
  std::vector<std::string> accepted;  // as JSON text, the first is the default; empty: any value, another scheduler reads it
};

const std::vector<Inert>& inert_fields() {
  static const std::vector<Inert> fields = {
      {"trained_betas", {"null"}},
      {"interpolation_type", {"\"linear\""}},
      {"timestep_type", {"\"discrete\""}},
      {"sigma_min", {"null"}},
      {"sigma_max", {"null"}},
      {"thresholding", {"false"}},
      {"use_karras_sigmas", {"false", "null"}},
      {"use_exponential_sigmas", {"false", "null"}},
      {"use_beta_sigmas", {"false", "null"}},
      {"use_flow_sigmas", {"false", "null"}},
      {"use_lu_lambdas", {"false", "null"}},
      {"use_dynamic_shifting", {"false", "null"}},
      // Without thresholding nobody reads these two.
      {"dynamic_thresholding_ratio", {}},
      {"sample_max_value", {}},
      // Of PNDM, DDPM, DPM-Solver, UniPC: how they step, not what the model was trained with.
      {"skip_prk_steps", {}},
      {"variance_type", {}},
      {"solver_order", {}},
      {"solver_type", {}},
      {"algorithm_type", {}},
      {"lower_order_final", {}},
      {"euler_at_final", {}},
      {"lambda_min_clipped", {}},
      {"predict_x0", {}},
      {"disable_corrector", {}},
      {"solver_p", {}},
      {"flow_shift", {}},
      {"time_shift_type", {}},
  };
  return fields;
}

void check_names(const io::JsonValue& object, std::string_view file, ErrorList& errors) {
  std::vector<std::string> names = kRead;
  for (const Inert& field : inert_fields()) names.push_back(field.name);
  for (const auto& [name, value] : object.members()) {
    if (name.starts_with('_')) continue;
    if (std::find(names.begin(), names.end(), name) == names.end())
      errors.add(fmt::format("{}: unknown field '{}'{}", value.place(file), printable(name, 80), did_you_mean(name, names)));
    for (const Inert& field : inert_fields()) {
      const auto& accepted = field.accepted;
      if (field.name != name || accepted.empty()) continue;
      const std::string text = model::shown(value);
      if (std::find(accepted.begin(), accepted.end(), text) == accepted.end())
        errors.add(fmt::format("{}: '{}' is {}, but only {} is implemented", value.place(file), name, text, accepted.front()));
    }
  }
}

/// The place of `value` in `choices`; a fault and 0 where it is none of them.
size_t choice(model::FieldReader& read, std::string_view field, const std::string& value,
              const std::vector<std::string>& choices) {
  const auto found = std::find(choices.begin(), choices.end(), value);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  read.fault(field, fmt::format("'{}' has \"{}\"; implemented are {}{}", field, printable(value, 60), join(choices, ", "),
                                did_you_mean(value, choices)));
  return 0;
}

void read_noise(model::FieldReader& read, distill::NoiseSchedule& noise) {
  noise.steps = static_cast<int>(read.integer("num_train_timesteps", 2, 100'000).value_or(1000));
  noise.name = kSchedules[choice(read, "beta_schedule", read.string("beta_schedule").value_or("linear"), kSchedules)];
  noise.beta_start = 0.0001;
  noise.beta_end = 0.02;
  for (const auto& [field, beta] : {std::pair{"beta_start", &noise.beta_start}, {"beta_end", &noise.beta_end}}) {
    const std::optional<double> given = read.number(field);
    if (!given) continue;
    if (*given > 0 && *given < 1)
      *beta = *given;
    else
      read.fault(field, fmt::format("'{}' must lie between 0 and 1, not {:g}", field, *given));
  }
}

size_t place_of(std::string_view name, const std::vector<std::string>& choices, std::string_view place, std::string_view what) {
  const auto found = std::find(choices.begin(), choices.end(), name);
  if (found == choices.end())
    throw UserError(fmt::format("[{}] '{}' is no {}{}; it is one of {}", place, printable(name), what,
                                did_you_mean(name, choices), join(choices, ", ")));
  return static_cast<size_t>(found - choices.begin());
}

}  // namespace

SchedulerConfig parse_scheduler_config(std::string_view json, std::string_view file) {
  const io::JsonValue object = io::parse_json(json, file);
  if (!object.is_object())
    throw UserError(fmt::format("{}: a scheduler config is an object, not {}", object.place(file), object.kind_name()));
  ErrorList errors;
  model::FieldReader read(object, file, errors);
  SchedulerConfig config;
  check_names(object, file, errors);
  config.class_name = read.string("_class_name").value_or("");
  read_noise(read, config.noise);
  config.prediction =
      static_cast<Prediction>(choice(read, "prediction_type", read.string("prediction_type").value_or("epsilon"), kPredictions));
  if (const auto spacing = read.string("timestep_spacing"))
    config.spacing = static_cast<Spacing>(choice(read, "timestep_spacing", *spacing, kSpacings));
  config.steps_offset = static_cast<int>(read.integer("steps_offset", 0, config.noise.steps - 1).value_or(0));
  config.set_alpha_to_one = read.boolean("set_alpha_to_one").value_or(true);
  config.clip_sample = read.boolean("clip_sample").value_or(true);
  config.clip_sample_range = read.number("clip_sample_range").value_or(1);
  if (!(config.clip_sample_range > 0)) read.fault("clip_sample_range", "'clip_sample_range' must be above 0");
  config.rescale_betas_zero_snr = read.boolean("rescale_betas_zero_snr").value_or(false);
  const std::string last = read.string("final_sigmas_type").value_or("zero");
  config.final_sigma_min = choice(read, "final_sigmas_type", last, {"zero", "sigma_min"}) == 1;
  errors.throw_if_any();
  return config;
}

SchedulerConfig read_scheduler_config(const std::filesystem::path& file) {
  return parse_scheduler_config(read_text(file), file.string());
}

std::string scheduler_config_text(const SchedulerConfig& config, std::string_view sampler) {
  ESP_CHECK(sampler == "ddim" || sampler == "euler");
  const bool ddim = sampler == "ddim";
  std::vector<std::string> fields = {
      fmt::format("\"_class_name\": \"{}\"", ddim ? "DDIMScheduler" : "EulerDiscreteScheduler"),
      fmt::format("\"beta_end\": {}", config.noise.beta_end),
      fmt::format("\"beta_schedule\": \"{}\"", config.noise.name),
      fmt::format("\"beta_start\": {}", config.noise.beta_start),
      fmt::format("\"num_train_timesteps\": {}", config.noise.steps),
      fmt::format("\"prediction_type\": \"{}\"", name_of(config.prediction)),
      fmt::format("\"rescale_betas_zero_snr\": {}", config.rescale_betas_zero_snr),
      fmt::format("\"steps_offset\": {}", config.steps_offset),
      fmt::format("\"timestep_spacing\": \"{}\"",
                  name_of(config.spacing.value_or(ddim ? Spacing::kLeading : Spacing::kLinspace)))};
  // Fields of the other class are kept too: diffusers carries them along when a pipeline changes its scheduler.
  fields.push_back(fmt::format("\"clip_sample\": {}", config.clip_sample));
  fields.push_back(fmt::format("\"clip_sample_range\": {}", config.clip_sample_range));
  fields.push_back(fmt::format("\"set_alpha_to_one\": {}", config.set_alpha_to_one));
  fields.push_back(fmt::format("\"final_sigmas_type\": \"{}\"", config.final_sigma_min ? "sigma_min" : "zero"));
  std::sort(fields.begin(), fields.end());
  return "{\n  " + join(fields, ",\n  ") + "\n}\n";
}

Prediction prediction_of(std::string_view name, std::string_view place) {
  return static_cast<Prediction>(place_of(name, kPredictions, place, "prediction type"));
}

std::string schedule_of(std::string_view name, std::string_view place) {
  return kSchedules[place_of(name, kSchedules, place, "noise schedule")];
}

Spacing spacing_of(std::string_view name, std::string_view place) {
  return static_cast<Spacing>(place_of(name, kSpacings, place, "spacing of timesteps"));
}

std::string_view name_of(Prediction prediction) { return kPredictions[static_cast<size_t>(prediction)]; }
std::string_view name_of(Spacing spacing) { return kSpacings[static_cast<size_t>(spacing)]; }

}  // namespace espalier::sample
