// What a scheduler_config.json may say, and what is said about the rest.

#include "core/sample/scheduler_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/model/scheduler_file.h"
#include "core/sample/choose_scheduler.h"
#include "core/sample/sampler.h"

namespace espalier::sample {
namespace {

using model::find_scheduler_config;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string fault_of(const std::string& json) {
  try {
    parse_scheduler_config(json, "s.json");
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(SchedulerConfig, absent_fields_have_diffusers_defaults) {
  const SchedulerConfig config = parse_scheduler_config("{}", "s.json");
  EXPECT_EQ(config.noise.name, "linear");
  EXPECT_EQ(config.noise.steps, 1000);
  EXPECT_EQ(config.noise.beta_start, 0.0001);
  EXPECT_EQ(config.noise.beta_end, 0.02);
  EXPECT_EQ(config.prediction, Prediction::kEpsilon);
  EXPECT_FALSE(config.spacing.has_value());
  EXPECT_TRUE(config.clip_sample);
  EXPECT_TRUE(config.set_alpha_to_one);
}

TEST(SchedulerConfig, reads_the_published_ones_of_the_family) {
  // scheduler_config.json of SD 1.5, SD 2.1 and SDXL base.
  const SchedulerConfig sd15 = parse_scheduler_config(
      R"({"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
          "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1,
          "trained_betas": null, "clip_sample": false})",
      "sd15");
  EXPECT_EQ(sd15.noise.name, "scaled_linear");
  EXPECT_EQ(sd15.class_name, "PNDMScheduler");
  const SchedulerConfig sd21 = parse_scheduler_config(
      R"({"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
          "beta_start": 0.00085, "clip_sample": false, "num_train_timesteps": 1000, "prediction_type": "v_prediction",
          "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null})",
      "sd21");
  EXPECT_EQ(sd21.prediction, Prediction::kV);
  EXPECT_EQ(sd21.steps_offset, 1);
  EXPECT_FALSE(sd21.set_alpha_to_one);
  const SchedulerConfig sdxl = parse_scheduler_config(
      R"({"_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0", "beta_end": 0.012,
          "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "interpolation_type": "linear",
          "num_train_timesteps": 1000, "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": false,
          "skip_prk_steps": true, "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": null, "use_karras_sigmas": false})",
      "sdxl");
  EXPECT_EQ(sdxl.spacing, Spacing::kLeading);
}

TEST(SchedulerConfig, names_every_fault_with_its_place_at_once) {
  const std::string fault = fault_of(
      "{\"beta_schedul\": \"linear\",\n \"use_karras_sigmas\": true,\n \"beta_schedule\": \"scaled_lineal\",\n"
      " \"prediction_type\": \"flow_prediction\",\n \"beta_end\": 1.5,\n \"clip_sample\": 1,\n \"num_train_timesteps\": 1}");
  EXPECT_THAT(fault, HasSubstr("s.json:1:18: unknown field 'beta_schedul'; did you mean 'beta_schedule'"));
  EXPECT_THAT(fault, HasSubstr("s.json:2:23: 'use_karras_sigmas' is true, but only false is implemented"));
  EXPECT_THAT(fault,
              HasSubstr("'beta_schedule' has \"scaled_lineal\"; implemented are linear, scaled_linear, squaredcos_cap_v2; did "
                        "you mean 'scaled_linear'"));
  EXPECT_THAT(fault, HasSubstr("'prediction_type' has \"flow_prediction\""));
  EXPECT_THAT(fault, HasSubstr("s.json:5:14: 'beta_end' must lie between 0 and 1, not 1.5"));
  EXPECT_THAT(fault, HasSubstr("'clip_sample' must be true or false, not an integer"));
  EXPECT_THAT(fault, HasSubstr("'num_train_timesteps' must be 2 to 100000, not 1"));
  EXPECT_EQ(std::count(fault.begin(), fault.end(), '\n'), 6);
}

TEST(SchedulerConfig, refuses_by_name_what_would_change_the_steps_and_is_not_implemented) {
  for (const char* field :
       {R"("trained_betas": [0.1])", R"("interpolation_type": "log_linear")", R"("timestep_type": "continuous")",
        R"("sigma_min": 0.1)", R"("sigma_max": 10)", R"("thresholding": true)", R"("use_exponential_sigmas": true)",
        R"("use_beta_sigmas": true)", R"("final_sigmas_type": "one")", R"("timestep_spacing": "even")"}) {
    const std::string text(field), name = text.substr(1, text.find('"', 1) - 1);
    EXPECT_THAT(fault_of("{" + text + "}"), HasSubstr("'" + name + "'")) << field;
  }
  EXPECT_THAT(fault_of("[]"), HasSubstr("a scheduler config is an object, not an array"));
  EXPECT_THAT(fault_of("{"), HasSubstr("s.json:1:"));
}

TEST(SchedulerConfig, its_text_reads_back_to_the_same_sampler) {
  SchedulerConfig config;
  config.noise.name = "squaredcos_cap_v2";
  config.prediction = Prediction::kV;
  config.spacing = Spacing::kTrailing;
  config.clip_sample = false;
  config.rescale_betas_zero_snr = true;
  config.steps_offset = 3;
  config.final_sigma_min = true;
  config.set_alpha_to_one = false;
  config.clip_sample_range = 1.25;
  for (const char* name : {"ddim", "euler"}) {
    const std::string text = scheduler_config_text(config, name);
    const SchedulerConfig back = parse_scheduler_config(text, "s.json");
    EXPECT_EQ(scheduler_config_text(back, name), text);
    const auto a = make_sampler(name, config, 9), b = make_sampler("", back, 9);
    EXPECT_EQ(b->name(), name);
    EXPECT_EQ(a->timesteps(), b->timesteps());
    std::vector<float> x{0.5f, -2, 3}, y = x;
    const std::vector<float> answer{1, 0.25f, -0.5f};
    for (size_t step = 0; step < 9; ++step) a->step(step, answer, x), b->step(step, answer, y);
    EXPECT_EQ(x, y);
  }
}

TEST(SchedulerConfig, the_emoji_teachers_own_is_what_its_training_asks_for) {
  const SchedulerConfig own = read_scheduler_config(ESPALIER_SOURCE_DIR "/examples/emoji/teacher/scheduler_config.json");
  const SchedulerConfig asked = scheduler_of_training({.name = "squaredcos_cap_v2"}, Prediction::kV);
  EXPECT_EQ(make_sampler("", own, 7)->timesteps(), make_sampler("", asked, 7)->timesteps());
  EXPECT_EQ(own.prediction, asked.prediction);
  EXPECT_EQ(distill::alpha_bars(own.noise), distill::alpha_bars(asked.noise));
  EXPECT_EQ(own.clip_sample, asked.clip_sample);
}

TEST(SchedulerConfig, is_found_in_a_pipeline_and_beside_a_unet_folder_or_file) {
  std::string pattern = (std::filesystem::temp_directory_path() / "espalier-scheduler-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path root = pattern;
  std::filesystem::create_directories(root / "pipe/unet");
  std::filesystem::create_directories(root / "alone");
  write_text(root / "pipe/scheduler/scheduler_config.json", "{}");
  write_text(root / "alone/scheduler_config.json", "{}");
  const auto expected = root / "pipe/scheduler/scheduler_config.json";
  EXPECT_EQ(find_scheduler_config(root / "pipe"), expected);
  EXPECT_EQ(find_scheduler_config(root / "pipe/unet"), expected);
  EXPECT_EQ(find_scheduler_config((root / "pipe/unet").string() + "/"), expected);
  EXPECT_EQ(find_scheduler_config(root / "pipe/unet/config.json"), expected);
  EXPECT_EQ(find_scheduler_config(root / "alone/model.safetensors"), root / "alone/scheduler_config.json");
  EXPECT_EQ(find_scheduler_config(root / "alone"), root / "alone/scheduler_config.json");
  EXPECT_EQ(find_scheduler_config(root / "pipe/unet/deeper/still"), std::nullopt);
  std::filesystem::remove_all(root);
}

TEST(Samplers, are_chosen_by_the_class_and_others_must_be_named) {
  const auto fault = [](std::string_view name, const char* class_name, int steps, double eta = 0) {
    SchedulerConfig config;
    config.class_name = class_name;
    try {
      return std::string(make_sampler(name, config, steps, eta)->name());
    } catch (const UserError& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(fault("", "EulerDiscreteScheduler", 5), "euler");
  EXPECT_EQ(fault("", "DDIMScheduler", 5), "ddim");
  EXPECT_EQ(fault("ddim", "PNDMScheduler", 5), "ddim");
  EXPECT_THAT(fault("", "PNDMScheduler", 5),
              AllOf(HasSubstr("PNDMScheduler, which is not implemented"), HasSubstr("ddim and euler")));
  EXPECT_THAT(fault("", "", 5), HasSubstr("name a sampler: ddim or euler"));
  EXPECT_THAT(fault("eular", "", 5), HasSubstr("there is no sampler 'eular'; did you mean 'euler'"));
  EXPECT_THAT(fault("euler", "", 5, 0.5), HasSubstr("eta is DDIM's"));
  EXPECT_THAT(fault("ddim", "", 5, 1.5), HasSubstr("eta lies between 0 and 1, not 1.5"));
  EXPECT_THAT(fault("ddim", "", 0), HasSubstr("a run has 1 to 1000 steps"));
  EXPECT_THAT(fault("euler", "", 1001), HasSubstr("not 1001"));
}

TEST(Samplers, refuse_a_first_step_that_has_no_answer) {
  SchedulerConfig config;
  config.rescale_betas_zero_snr = true;
  config.spacing = Spacing::kTrailing;
  EXPECT_THROW(make_ddim(config, 5), UserError);  // epsilon says nothing at zero signal
  config.prediction = Prediction::kV;
  EXPECT_NO_THROW(make_ddim(config, 5));
  SchedulerConfig offset;
  offset.steps_offset = 1;
  EXPECT_NO_THROW(make_ddim(offset, 999));
  try {
    make_ddim(offset, 1000);
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("takes the first of 1000 steps to timestep 1000, but training ended at 999"));
  }
}

}  // namespace
}  // namespace espalier::sample
