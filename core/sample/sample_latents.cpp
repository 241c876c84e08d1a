#include "core/sample/sample_latents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace espalier::sample {
namespace {

std::vector<float> normal_run(uint64_t seed, std::string_view id, uint64_t first, int64_t count) {
  const uint64_t stream = rng::stream_of("sample/" + std::string(id));
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng::normal(seed, stream, first + i));
  return values;
}

int64_t at_once(const SampleRequest& request) {
  const auto all = static_cast<int64_t>(request.ids.size());
  const int64_t most = request.pictures_at_once > 0 ? std::min(request.pictures_at_once, all) : all;
  const int64_t groups = (all + most - 1) / most;
  return (all + groups - 1) / groups;  // of even size, so that next to nothing is drawn twice
}

bool guided(const SampleRequest& request) { return request.guidance != 1; }

Shape with_rows(const Shape& shape, int64_t rows) {
  std::vector<int64_t> dims = shape.dims();
  dims.front() = rows;
  return Shape(std::move(dims));
}

/// Rows `from` of `tensor`, in that order; nothing of a tensor without values.
exec::FloatTensor take_rows(const exec::FloatTensor& tensor, const std::vector<size_t>& from) {
  if (tensor.values.empty()) return {};
  const size_t width = tensor.values.size() / static_cast<size_t>(tensor.shape[0]);
  exec::FloatTensor taken{with_rows(tensor.shape, static_cast<int64_t>(from.size())), {}};
  for (const size_t row : from) {
    const auto begin = tensor.values.begin() + static_cast<std::ptrdiff_t>(row * width);
    taken.values.insert(taken.values.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  return taken;
}

exec::FloatTensor joined(exec::FloatTensor first, const exec::FloatTensor& second) {
  if (first.values.empty()) return first;
  first.shape = with_rows(first.shape, first.shape[0] + second.shape[0]);
  first.values.insert(first.values.end(), second.values.begin(), second.values.end());
  return first;
}

/// Conditioning of the pictures `group`, the unconditional rows before them where there is guidance.
Conditioning rows_of(const SampleRequest& request, const std::vector<size_t>& group) {
  const Conditioning& all = request.conditioning;
  Conditioning rows{take_rows(all.encoder_hidden_states, group), take_rows(all.text_embeds, group),
                    take_rows(all.time_ids, group)};
  if (!guided(request)) return rows;
  const std::vector<size_t> same(group.size(), 0);
  return {joined(take_rows(request.unconditional.encoder_hidden_states, same), rows.encoder_hidden_states),
          joined(take_rows(request.unconditional.text_embeds, same), rows.text_embeds), joined(rows.time_ids, rows.time_ids)};
}

/// What the model sees of `sample`: scaled, and twice with guidance.
exec::FloatTensor model_input(const exec::FloatTensor& sample, double scale, bool twice) {
  exec::FloatTensor input = sample;
  for (float& value : input.values) value = static_cast<float>(value * scale);
  return twice ? joined(input, input) : input;
}

void guide(std::vector<float>& prediction, double guidance) {
  const size_t half = prediction.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double without = prediction[i], with = prediction[half + i];
    prediction[i] = static_cast<float>(without + guidance * (with - without));
  }
  prediction.resize(half);
}

void check(const SampleRequest& request) {
  ESP_CHECK(request.sampler != nullptr && !request.ids.empty());
  ESP_CHECK(request.conditioning.encoder_hidden_states.shape[0] == static_cast<int64_t>(request.ids.size()));
  ESP_CHECK(!guided(request) || request.unconditional.encoder_hidden_states.shape[0] == 1);
  ESP_CHECK(!guided(request) ||
            request.unconditional.text_embeds.values.empty() == request.conditioning.text_embeds.values.empty());
}

/// Steps the pictures `group`, each at its place in `sample`, from noise to latents. The first `real` of them are asked for.
void run_group(const Predict& predict, const SampleRequest& request, const std::vector<size_t>& group, size_t real,
               exec::FloatTensor& sample) {
  const Sampler& sampler = *request.sampler;
  const Conditioning rows = rows_of(request, group);
  const auto elements = static_cast<int64_t>(sample.values.size() / group.size());
  for (size_t step = 0; step < sampler.steps(); ++step) {
    const double timestep = sampler.timesteps()[step];
    exec::FloatTensor answer = predict(model_input(sample, sampler.input_scale(step), guided(request)), timestep, rows);
    if (guided(request)) guide(answer.values, request.guidance);
    ESP_CHECK(answer.values.size() == sample.values.size());
    if (!std::all_of(answer.values.begin(), answer.values.end(), [](float v) { return std::isfinite(v); }))
      throw Error(fmt::format("[sample] the model's answer at step {} of {} (timestep {:g}) is not finite", step + 1,
                              sampler.steps(), timestep));
    std::vector<float> noise;
    for (size_t i = 0; sampler.wants_noise() && i < group.size(); ++i) {
      const std::vector<float> more = step_noise(request.seed, request.ids[group[i]], step, elements);
      noise.insert(noise.end(), more.begin(), more.end());
    }
    sampler.step(step, answer.values, sample.values, noise);
    if (request.on_step) request.on_step(step, real);
  }
}

}  // namespace

// One picture's numbers share a stream; each use has 2^40 counters of its own.
std::vector<float> start_noise(uint64_t seed, std::string_view id, int64_t elements) { return normal_run(seed, id, 0, elements); }

std::vector<float> step_noise(uint64_t seed, std::string_view id, size_t step, int64_t elements) {
  return normal_run(seed, id, (static_cast<uint64_t>(step) + 1) << 40, elements);
}

int64_t rows_at_once(const SampleRequest& request) { return at_once(request) * (guided(request) ? 2 : 1); }

exec::FloatTensor sample_latents(const Predict& predict, const SampleRequest& request) {
  check(request);
  const int64_t elements = request.height * request.width * request.channels;
  const auto pictures = request.ids.size(), size = static_cast<size_t>(at_once(request));
  exec::FloatTensor result{Shape{static_cast<int64_t>(pictures), request.height, request.width, request.channels}, {}};
  for (size_t first = 0; first < pictures; first += size) {
    std::vector<size_t> group(size, first);
    const size_t real = std::min(size, pictures - first);
    for (size_t i = 0; i < real; ++i) group[i] = first + i;
    exec::FloatTensor sample{Shape{static_cast<int64_t>(size), request.height, request.width, request.channels}, {}};
    for (const size_t picture : group) {
      for (const float value : start_noise(request.seed, request.ids[picture], elements))
        sample.values.push_back(static_cast<float>(value * request.sampler->init_noise_scale()));
    }
    run_group(predict, request, group, real, sample);
    result.values.insert(result.values.end(), sample.values.begin(),
                         sample.values.begin() + static_cast<std::ptrdiff_t>(real * static_cast<size_t>(elements)));
  }
  return result;
}

}  // namespace espalier::sample
