// The samplers against diffusers' own trajectories (tests/golden/make_sampler_trajectories.py), and what the loop around
// them promises.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/exec/border.h"
#include "core/inspect/session.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/sample/sample_latents.h"
#include "core/sample/sampler.h"
#include "core/sample/timesteps.h"
#include "core/sample/unet_predict.h"

namespace espalier::sample {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kGolden = ESPALIER_SOURCE_DIR "/tests/golden";

// diffusers computes schedules and steps in f32, we compute ᾱ and steps in f64 and keep f32: what its rounding leaves.
constexpr double kTolerance = 1e-5;
// Betas of zero terminal SNR start Euler at σ = 4096: diffusers' f32 step from there to σ = 14 cancels all but the last
// bits of its operands and is itself 1.5e-5 away from the same step in f64.
constexpr double kToleranceFromZeroSnr = 2e-5;

struct Recorded {
  nlohmann::json cases = nlohmann::json::parse(read_text(kGolden / "sampler-trajectories/cases.json"));
  io::TensorSourcePtr tensors = io::open_safetensors(kGolden / "sampler-trajectories/trajectories.safetensors");
  std::vector<float> values(const std::string& name) const { return io::read_f32(tensors->get(name)); }
  SchedulerConfig config(const std::string& name) const { return parse_scheduler_config(cases[name]["config"].dump(), name); }
};

const Recorded& recorded() {
  static const Recorded all;
  return all;
}

std::unique_ptr<Sampler> sampler_of(const std::string& name) {
  const nlohmann::json& one = recorded().cases[name];
  return make_sampler(one["sampler"].get<std::string>(), recorded().config(name), one["steps"], one.value("eta", 0.0));
}

double most(std::span<const float> values) {
  double most = 0;
  for (const float v : values) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

double distance(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return most;
}

// The model of all recorded cases but `unet`.
float formula(float x, double timestep) {
  const auto t = static_cast<float>(timestep);
  return 0.6f * x / (1 + t / 1000) + 0.3f * std::sin(2 * x + t / 250);
}

class Trajectory : public ::testing::TestWithParam<std::string> {};
class EulerTrajectory : public ::testing::TestWithParam<std::string> {};

TEST_P(Trajectory, every_step_is_diffusers_own) {
  const std::string name = GetParam();
  const auto sampler = sampler_of(name);
  const std::vector<float> timesteps = recorded().values(name + ".timesteps"), all = recorded().values(name + ".samples");
  const std::vector<float> noise = sampler->wants_noise() ? recorded().values(name + ".noise") : std::vector<float>();
  ASSERT_EQ(std::vector<float>(sampler->timesteps().begin(), sampler->timesteps().end()), timesteps);
  const size_t size = all.size() / (timesteps.size() + 1);
  std::vector<float> sample(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
  const double tolerance = name == "euler-zero-snr" ? kToleranceFromZeroSnr : kTolerance;
  for (size_t step = 0; step < timesteps.size(); ++step) {
    std::vector<float> answer;
    for (const float x : sample)
      answer.push_back(formula(static_cast<float>(x * sampler->input_scale(step)), sampler->timesteps()[step]));
    sampler->step(step, answer, sample, noise.empty() ? std::span<const float>() : std::span(noise).subspan(step * size, size));
    const auto expected = std::span(all).subspan((step + 1) * size, size);
    EXPECT_LE(distance(sample, expected), tolerance * most(expected)) << "step " << step;
  }
}

TEST_P(EulerTrajectory, sigmas_are_diffusers_own) {
  const std::string name = GetParam();
  const std::vector<float> expected = recorded().values(name + ".sigmas");
  const std::vector<double> sigmas = euler_sigmas(recorded().config(name), recorded().cases[name]["steps"]);
  ASSERT_EQ(sigmas.size(), expected.size());
  for (size_t i = 0; i < sigmas.size(); ++i) EXPECT_NEAR(sigmas[i], expected[i], kTolerance * expected[i]) << i;
}

std::vector<std::string> formula_cases(const std::string& sampler) {
  std::vector<std::string> names;
  for (const auto& [name, value] : recorded().cases.items())
    if (name != "unet" && (sampler.empty() || value["sampler"] == sampler)) names.push_back(name);
  return names;
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Recorded, Trajectory, ::testing::ValuesIn(formula_cases("")), test_name);
INSTANTIATE_TEST_SUITE_P(Recorded, EulerTrajectory, ::testing::ValuesIn(formula_cases("euler")), test_name);

TEST(Timesteps, are_diffusers_own_for_every_count_of_steps) {
  const auto sums = nlohmann::json::parse(read_text(kGolden / "sampler-trajectories/timesteps.json"));
  for (const auto& [name, rows] : sums.items()) {
    ASSERT_EQ(rows.size(), 1000u);
    for (int steps = 1; steps <= 1000; ++steps) {
      const std::vector<double> timesteps = spaced_timesteps({}, spacing_of(name, "test"), steps, true);
      ASSERT_EQ(timesteps.size(), static_cast<size_t>(steps));
      int64_t sum = 0, weighted = 0;
      for (size_t i = 0; i < timesteps.size(); ++i) {
        sum += static_cast<int64_t>(timesteps[i]);
        weighted += static_cast<int64_t>(i + 1) * static_cast<int64_t>(timesteps[i]);
      }
      const auto& expected = rows[static_cast<size_t>(steps) - 1];
      EXPECT_EQ(sum, expected[0].get<int64_t>()) << name << " " << steps;
      EXPECT_EQ(weighted, expected[1].get<int64_t>()) << name << " " << steps;
    }
  }
}

Conditioning rows_of_file(const io::TensorSource& file, int64_t row) {
  const auto take = [&](const char* name) {
    const io::TensorRef tensor = file.get(name);
    const std::vector<float> all = io::read_f32(tensor);
    std::vector<int64_t> dims = tensor.type.shape.dims();
    const int64_t width = tensor.type.shape.elements() / dims[0];
    dims[0] = 1;
    return exec::FloatTensor{Shape(dims), std::vector<float>(all.begin() + row * width, all.begin() + (row + 1) * width)};
  };
  return {take("encoder_hidden_states"), take("text_embeds"), take("time_ids")};
}

TEST(Sampling, a_unet_with_guidance_draws_what_diffusers_draws) {
  const auto& one = recorded().cases["unet"];
  const model::Model model = model::load_model(kGolden / "tiny-sdxl/unet");
  const auto inputs = io::open_safetensors(kGolden / "tiny-sdxl/inputs.safetensors");
  const auto sampler = sampler_of("unet");
  const Shape all_shape = recorded().tensors->get("unet.samples").type.shape;
  SampleRequest request;
  request.sampler = sampler.get();
  request.conditioning = rows_of_file(*inputs, 0);
  request.unconditional = rows_of_file(*inputs, 1);
  request.ids = {"recorded"};
  request.height = all_shape[2], request.width = all_shape[3], request.channels = all_shape[4];
  request.guidance = one["guidance"];
  auto executor = inspect::open_session(model,
                                        {.batch = rows_at_once(request),
                                         .height = request.height,
                                         .width = request.width,
                                         .tokens = request.conditioning.encoder_hidden_states.shape[1]},
                                        {});
  // The recorded start is torch's noise, not ours: the first call's input is replaced, and the rest of the trajectory with it.
  const std::vector<float> all = recorded().values("unet.samples");
  const auto size = static_cast<size_t>(request.height * request.width * request.channels);
  const Predict unet = unet_predict(std::move(executor));
  std::vector<float> sample(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
  size_t step = 0;
  const Predict from_recorded_start = [&](const exec::FloatTensor& seen, double timestep, const Conditioning& rows) {
    exec::FloatTensor input = seen;
    for (size_t i = 0; i < input.values.size(); ++i)
      input.values[i] = static_cast<float>(sample[i % size] * sampler->input_scale(step));
    exec::FloatTensor answer = unet(input, timestep, rows);
    std::vector<float> guided(size);
    for (size_t i = 0; i < size; ++i) {
      const double u = answer.values[i], c = answer.values[size + i];
      guided[i] = static_cast<float>(u + request.guidance * (c - u));
    }
    sampler->step(step++, guided, sample);
    const auto expected = std::span(all).subspan(step * size, size);
    EXPECT_LE(distance(sample, expected), 1e-4 * most(expected)) << "step " << step;
    return answer;
  };
  sample_latents(from_recorded_start, request);
  EXPECT_EQ(step, 4u);
}

// ---- the loop, with a model that answers a constant of each row's conditioning ----

SampleRequest request_of(const Sampler& sampler, std::vector<std::string> ids) {
  SampleRequest request;
  request.sampler = &sampler;
  request.height = 2, request.width = 3, request.channels = 2;
  const auto rows = static_cast<int64_t>(ids.size());
  request.conditioning.encoder_hidden_states = {Shape{rows, 1, 1}, {}};
  for (size_t i = 0; i < ids.size(); ++i)
    request.conditioning.encoder_hidden_states.values.push_back(0.25f * static_cast<float>(i + 1));
  request.unconditional.encoder_hidden_states = {Shape{1, 1, 1}, {-0.5f}};
  request.ids = std::move(ids);
  return request;
}

exec::FloatTensor answer_conditioning(const exec::FloatTensor& sample, double, const Conditioning& rows) {
  exec::FloatTensor answer = sample;
  const size_t size = sample.values.size() / static_cast<size_t>(sample.shape[0]);
  for (size_t i = 0; i < answer.values.size(); ++i) answer.values[i] = rows.encoder_hidden_states.values[i / size];
  return answer;
}

SchedulerConfig predicts_latents() {
  SchedulerConfig config;
  config.prediction = Prediction::kSample;
  config.clip_sample = false;
  return config;
}

TEST(Sampling, guidance_goes_from_the_unconditional_answer_through_the_conditional_one) {
  const auto sampler = make_ddim(predicts_latents(), 3);  // its last step ends at the predicted latents
  SampleRequest request = request_of(*sampler, {"a", "b"});
  for (const double guidance : {0.0, 0.5, 1.0, 4.0}) {
    request.guidance = guidance;
    const exec::FloatTensor latents = sample_latents(answer_conditioning, request);
    ASSERT_EQ(latents.shape, (Shape{2, 2, 3, 2}));
    for (size_t i = 0; i < latents.values.size(); ++i) {
      const double conditional = i < 12 ? 0.25 : 0.5;
      EXPECT_NEAR(latents.values[i], -0.5 + guidance * (conditional + 0.5), 1e-6) << guidance;
    }
  }
}

TEST(Sampling, without_guidance_the_unconditional_answer_is_not_asked_for) {
  const auto sampler = make_ddim(predicts_latents(), 2);
  SampleRequest request = request_of(*sampler, {"a", "b", "c"});
  request.unconditional = {};
  EXPECT_EQ(rows_at_once(request), 3);
  int calls = 0;
  const Predict predict = [&](const exec::FloatTensor& sample, double t, const Conditioning& rows) {
    ++calls;
    EXPECT_EQ(sample.shape[0], 3);
    return answer_conditioning(sample, t, rows);
  };
  sample_latents(predict, request);
  EXPECT_EQ(calls, 2);
}

// A model whose answer depends on what it sees, so that the noise stays in the latents.
exec::FloatTensor answer_formula(const exec::FloatTensor& sample, double timestep, const Conditioning&) {
  exec::FloatTensor answer = sample;
  for (float& value : answer.values) value = formula(value, timestep);
  return answer;
}

std::vector<float> picture(const exec::FloatTensor& all, size_t index) {
  const auto size = static_cast<std::ptrdiff_t>(all.values.size() / static_cast<size_t>(all.shape[0]));
  const auto begin = all.values.begin() + static_cast<std::ptrdiff_t>(index) * size;
  return {begin, begin + size};
}

TEST(Sampling, a_picture_depends_on_seed_and_id_and_on_nothing_drawn_beside_it) {
  SchedulerConfig config;
  config.clip_sample = false;
  for (const double eta : {0.0, 1.0}) {
    const auto sampler = make_ddim(config, 5, eta);
    SampleRequest request = request_of(*sampler, {"a", "b", "c", "d", "e"});
    request.seed = 7;
    const exec::FloatTensor all = sample_latents(answer_formula, request);
    for (const int64_t at_once : {1, 2, 3, 4}) {
      request.pictures_at_once = at_once;
      size_t done = 0;
      request.on_step = [&](size_t, size_t pictures) { done += pictures; };
      EXPECT_EQ(sample_latents(answer_formula, request).values, all.values);
      EXPECT_EQ(done, 5u * 5u);
    }
    request.pictures_at_once = 4;
    EXPECT_EQ(rows_at_once(request), 3);
    SampleRequest alone = request_of(*sampler, {"d"});
    alone.seed = 7;
    EXPECT_EQ(sample_latents(answer_formula, alone).values, picture(all, 3));
    alone.seed = 8;
    EXPECT_NE(sample_latents(answer_formula, alone).values, picture(all, 3));
    EXPECT_NE(picture(all, 0), picture(all, 1));
  }
}

// Four pictures, and the best answer that a model could give if the world were these four: the latents' mean given what it sees.
struct World {
  std::vector<std::vector<float>> pictures;
  SchedulerConfig config;
  std::vector<float> signal = signal_of(config);

  explicit World(SchedulerConfig how) : config(std::move(how)) {
    for (size_t k = 0; k < 4; ++k) {
      std::vector<float>& picture = pictures.emplace_back();
      for (size_t i = 0; i < size_t{8} * 8 * 3; ++i) picture.push_back((i / (k + 1)) % 2 == 0 ? 0.8f : -0.8f);
    }
  }

  exec::FloatTensor answer(const exec::FloatTensor& sample, double timestep) const {
    const double left = signal[static_cast<size_t>(std::lround(timestep))], a = std::sqrt(left), b = std::sqrt(1 - left);
    exec::FloatTensor answers = sample;
    const size_t size = pictures[0].size();
    for (size_t row = 0; row < answers.values.size() / size; ++row) {
      float* x = answers.values.data() + row * size;
      std::vector<double> weights, mean(size, 0.0);
      for (const auto& picture : pictures) {
        double square = 0;
        for (size_t i = 0; i < size; ++i) square += std::pow(x[i] - a * picture[i], 2);
        weights.push_back(-square / (2 * b * b));
      }
      const double top = *std::max_element(weights.begin(), weights.end());
      double total = 0;
      for (double& weight : weights) total += weight = std::exp(weight - top);
      for (size_t k = 0; k < pictures.size(); ++k)
        for (size_t i = 0; i < size; ++i) mean[i] += weights[k] / total * pictures[k][i];
      for (size_t i = 0; i < size; ++i) {
        const double noise = (x[i] - a * mean[i]) / b;
        x[i] = static_cast<float>(config.prediction == Prediction::kEpsilon ? noise
                                  : config.prediction == Prediction::kV     ? a * noise - b * mean[i]
                                                                            : mean[i]);
      }
    }
    return answers;
  }
};

TEST(Sampling, with_the_best_possible_model_every_sample_is_one_of_the_worlds_pictures) {
  for (const char* schedule : {"scaled_linear", "squaredcos_cap_v2"})
    for (const Prediction prediction : {Prediction::kEpsilon, Prediction::kV, Prediction::kSample})
      for (const char* name : {"ddim", "euler"}) {
        SchedulerConfig config;
        config.noise.name = schedule;
        config.prediction = prediction;
        config.clip_sample = false;
        config.spacing = Spacing::kLeading;
        const World world(config);
        const auto sampler = make_sampler(name, config, 40);
        SampleRequest request = request_of(*sampler, {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"});
        request.height = request.width = 8, request.channels = 3;
        const exec::FloatTensor drawn = sample_latents(
            [&](const exec::FloatTensor& x, double t, const Conditioning&) { return world.answer(x, t); }, request);
        std::vector<size_t> times(4, 0);
        for (size_t row = 0; row < request.ids.size(); ++row) {
          const std::vector<float> one = picture(drawn, row);
          size_t nearest = 0;
          for (size_t k = 1; k < 4; ++k)
            if (distance(one, world.pictures[k]) < distance(one, world.pictures[nearest])) nearest = k;
          EXPECT_LT(distance(one, world.pictures[nearest]), 0.05) << schedule << " " << name_of(prediction) << " " << name;
          ++times[nearest];
        }
        EXPECT_GE(std::count_if(times.begin(), times.end(), [](size_t n) { return n > 0; }), 2);
      }
}

TEST(Sampling, fresh_noise_of_a_step_is_neither_the_start_nor_another_step) {
  const std::vector<float> start = start_noise(1, "a", 4096), first = step_noise(1, "a", 0, 4096),
                           second = step_noise(1, "a", 1, 4096);
  for (const auto& [a, b] : {std::pair{&start, &first}, {&first, &second}, {&start, &second}}) {
    double dot = 0;
    for (size_t i = 0; i < a->size(); ++i) dot += (*a)[i] * (*b)[i];
    EXPECT_LT(std::abs(dot) / 4096, 0.08);
  }
  double mean = 0, square = 0;
  for (const float v : start) mean += v, square += v * v;
  EXPECT_NEAR(mean / 4096, 0, 0.06);
  EXPECT_NEAR(square / 4096, 1, 0.1);
}

TEST(Sampling, an_answer_that_is_not_finite_stops_it_and_names_the_step) {
  const auto sampler = make_ddim(predicts_latents(), 4);
  int calls = 0;
  const Predict predict = [&](const exec::FloatTensor& sample, double, const Conditioning&) {
    exec::FloatTensor answer = sample;
    if (++calls == 3) answer.values[5] = NAN;
    return answer;
  };
  try {
    sample_latents(predict, request_of(*sampler, {"a"}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 1);
    EXPECT_THAT(error.what(), HasSubstr("step 3 of 4 (timestep 250)"));
  }
}

}  // namespace
}  // namespace espalier::sample
