#include "sdk/validator/metric_case.h"

#include "core/base/rng.h"
#include "plugins/metric_adapter.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

template <typename F>
exec::FloatTensor filled(Shape shape, const F& f) {
  exec::FloatTensor tensor{std::move(shape), {}};
  for (int64_t i = 0; i < tensor.shape.elements(); ++i) tensor.values.push_back(static_cast<float>(f(static_cast<uint64_t>(i))));
  return tensor;
}

}  // namespace

MetricCase::MetricCase(uint64_t seed, const MetricShape& shape) {
  const Shape output{shape.batch, shape.height, shape.width, 4}, pictures{shape.batch, shape.height, shape.width, 3};
  student_output_ = filled(output, [&](uint64_t i) { return rng::normal(seed, 1, i); });
  teacher_output_ = shape.equal ? student_output_ : filled(output, [&](uint64_t i) { return rng::normal(seed, 2, i); });
  target_ = filled(output, [&](uint64_t i) { return rng::normal(seed, 3, i); });
  timestep_ = filled({shape.batch}, [&](uint64_t i) { return 999 * rng::uniform(seed, 4, i); });
  student_pictures_ = filled(pictures, [&](uint64_t i) { return rng::uniform(seed, 5, i); });
  teacher_pictures_ = shape.equal ? student_pictures_ : filled(pictures, [&](uint64_t i) { return rng::uniform(seed, 6, i); });
}

std::map<std::string, double> MetricCase::measure(const plugins::Component& component, const plugins::ParamValues& values) const {
  const auto metric = plugins::make_metric(component, values);
  train::MetricView view;
  if (metric->reads_outputs())
    view.student_output = &student_output_, view.teacher_output = &teacher_output_, view.target = &target_,
    view.timestep = &timestep_;
  if (metric->reads_pictures()) view.student_pictures = &student_pictures_, view.teacher_pictures = &teacher_pictures_;
  std::map<std::string, double> out;
  for (const auto& [label, value] : metric->measure(view)) out[label] = value;
  return out;
}

}  // namespace espalier::validator
