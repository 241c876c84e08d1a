#include "core/train/metric_sums.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/data/cache.h"
#include "core/data/codec.h"
#include "core/data/held_out.h"
#include "core/sample/choose_scheduler.h"
#include "core/sample/draw_rows.h"

namespace espalier::train {
namespace {

constexpr uint64_t kSeed = 0;  // of the pictures' noise: equal for both models, all runs and all times

/// At most `want` held-out rows of the cache, evenly.
std::vector<size_t> held_out_rows(const data::Cache& cache, data::Source& source, int64_t want) {
  std::vector<size_t> rows;
  for (const std::string& id : data::held_out_ids(source)) rows.push_back(cache.find(id));
  return data::evenly(rows, static_cast<size_t>(want));
}

/// [1,H,W,3] from 0 to 1; the latents themselves where no codec here decodes them.
std::vector<exec::FloatTensor> as_pictures(const data::CacheInfo& info, std::vector<exec::FloatTensor> latents) {
  const auto& known = data::codec_names();
  if (std::find(known.begin(), known.end(), info.codec) == known.end()) return latents;
  std::vector<exec::FloatTensor> out;
  for (const sample::Picture& picture : sample::decode_pictures(info, latents)) {
    exec::FloatTensor& tensor = out.emplace_back();
    tensor.shape = Shape{1, picture.height, picture.width, 3};
    for (const uint8_t byte : picture.rgb) tensor.values.push_back(static_cast<float>(byte) / 255.0F);
  }
  return out;
}

}  // namespace

RunMetrics::RunMetrics(const Recipe& recipe, const Services& services, const data::Source& source)
    : recipe_(recipe), services_(services) {
  ErrorList errors;
  std::set<std::string> names;
  for (const MetricSpec& spec : recipe.metrics) {
    Made made{&spec, services.make_metric(spec.plugin), spec.name};
    if (made.name.empty()) made.name = made.metric->default_name();
    if (!names.insert(made.name).second)
      errors.add(spec.plugin.place + ": '" + made.name + "' is already a metric: give one of them another name");
    if (source.validation_batches() == 0)
      errors.add(spec.plugin.place + ": [[metric]] measures held-out rows, and there are none; give [data] validation_rows");
    if (!recipe.teacher) errors.add(spec.plugin.place + ": [[metric]] compares with a teacher, and the recipe has no [teacher]");
    if (made.metric->reads_pictures() && recipe.data.source != "cache")
      errors.add(spec.plugin.place + ": [" + made.metric->id() +
                 "] reads pictures, and replayed batches have no captions to draw");
    specs_.push_back(std::move(made));
  }
  errors.throw_if_any();
}

bool RunMetrics::reads_outputs() const {
  return std::any_of(specs_.begin(), specs_.end(), [](const Made& each) { return each.metric->reads_outputs(); });
}

std::vector<std::string> RunMetrics::names() const {
  std::vector<std::string> names;
  for (const Made& each : specs_) names.push_back(each.name);
  return names;
}

void RunMetrics::begin() { sums_.clear(); }

void RunMetrics::add(const Made& each, const MetricView& view, int64_t rows) {
  for (const auto& [label, value] : each.metric->measure(view)) {
    Sum& sum = sums_["val/" + each.name + (label.empty() ? "" : "/" + label)];
    sum.sum += value * static_cast<double>(rows);
    sum.rows += static_cast<double>(rows);
  }
}

void RunMetrics::add_outputs(const exec::FloatTensors& predictions, const exec::FloatTensor& timestep) {
  MetricView view{&predictions.at("output"), &predictions.at("teacher_output"), &predictions.at("target"), &timestep};
  for (const Made& each : specs_)
    if (each.metric->reads_outputs() && !each.metric->reads_pictures()) add(each, view, view.student_output->shape[0]);
}

void RunMetrics::add_pictures(const Student& student, const model::Model& teacher, size_t stage, data::Source& source) {
  const auto prediction = recipe_.predicts_v ? sample::Prediction::kV : sample::Prediction::kEpsilon;
  const sample::SchedulerConfig scheduler = sample::scheduler_of_training(recipe_.schedule, prediction);
  for (size_t k = 0; k < specs_.size(); ++k) {
    const Made& each = specs_[k];
    if (!each.metric->reads_pictures()) continue;
    const data::Cache cache(recipe_.data.path);
    const std::vector<size_t> rows = held_out_rows(cache, source, each.spec->pictures);
    const auto sampler = sample::make_ddim(scheduler, static_cast<int>(each.spec->steps));
    Progress progress("drawing pictures for " + each.name, rows.size() * static_cast<size_t>(each.spec->steps) * 2);
    const auto draw = [&](const model::Model& model) {
      sample::DrawOptions options{.sampler = sampler.get(), .seed = kSeed, .guidance = each.spec->guidance};
      options.on_step = [&](size_t pictures) { progress.add(pictures); };
      const auto open = sample::open_unet(model, {.backend = services_.backend, .mapped = recipe_.train.teacher_mapped});
      return as_pictures(cache.info(), sample::draw_rows(open, cache, rows, options));
    };
    std::vector<exec::FloatTensor>& theirs = teacher_pictures_[{stage, k}];
    if (theirs.empty()) theirs = draw(teacher);
    model::Model trained;
    trained.tree = student.structure().tree;
    trained.config = trained.tree.config;
    trained.weights = student.weights();
    const std::vector<exec::FloatTensor> ours = draw(trained);
    for (size_t i = 0; i < ours.size(); ++i) {
      MetricView view;
      view.student_pictures = &ours[i], view.teacher_pictures = &theirs[i];
      add(each, view, 1);
    }
  }
}

NamedNumbers RunMetrics::numbers() const {
  NamedNumbers numbers;
  for (const auto& [key, sum] : sums_) numbers.emplace_back(key, static_cast<float>(sum.sum / sum.rows));
  return numbers;
}

}  // namespace espalier::train
