#include "core/report/measure_forward.h"

#include <algorithm>
#include <chrono>

#include "core/base/progress.h"

namespace espalier::report {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kForwards = 7;
constexpr double kMost_ms = 30'000;

double ms_since(Clock::time_point begin) { return std::chrono::duration<double, std::milli>(Clock::now() - begin).count(); }

/// A training batch as a UNet's inputs: pure noise in place of noisy latents.
exec::FloatTensors inputs_of(const data::Batch& batch) {
  exec::FloatTensors inputs = batch.tensors;
  inputs["sample"] = inputs.at("noise");
  return inputs;
}

ForwardTime time_of(std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  const size_t half = ms.size() / 2;
  return {ms.size() % 2 == 1 ? ms[half] : (ms[half - 1] + ms[half]) / 2, ms.back(), static_cast<int64_t>(ms.size())};
}

}  // namespace

std::vector<ForwardTime> measure_forward(const std::vector<const model::Model*>& models, const data::Batch& batch,
                                         const inspect::SessionOptions& session) {
  const exec::FloatTensors inputs = inputs_of(batch);
  const Shape& latents = inputs.at("sample").shape;
  const model::GraphOptions sizes{
      .batch = latents[0], .height = latents[1], .width = latents[2], .tokens = inputs.at("encoder_hidden_states").shape[1]};
  std::vector<std::unique_ptr<exec::Executor>> executors;
  for (const model::Model* model : models) {
    executors.push_back(inspect::open_session(*model, sizes, session));
    exec::run_named(*executors.back(), inputs);
  }
  std::vector<std::vector<double>> ms(models.size());
  Progress progress("timing forward passes", static_cast<uint64_t>(kForwards) * models.size());
  const auto begin = Clock::now();
  for (int64_t round = 0; round < kForwards && (round == 0 || ms_since(begin) < kMost_ms); ++round)
    for (size_t i = 0; i < models.size(); ++i) {
      const auto start = Clock::now();
      exec::run_named(*executors[i], inputs);
      ms[i].push_back(ms_since(start));
      progress.add(1);
    }
  std::vector<ForwardTime> times;
  for (std::vector<double>& each : ms) times.push_back(time_of(std::move(each)));
  return times;
}

}  // namespace espalier::report
