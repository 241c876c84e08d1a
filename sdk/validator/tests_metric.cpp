#include "core/base/error.h"
#include "sdk/validator/metric_case.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

std::map<std::string, double> measured(const Subject& subject, const MetricShape& shape) {
  try {
    return MetricCase(subject.seed, shape).measure(*subject.component, values_of(*subject.component, {}));
  } catch (const UserError& error) {
    skip("it refuses the batch: " + refusal_of(error, *subject.component));
  }
}

void finite(const Subject& subject) {
  for (const MetricShape& shape :
       {MetricShape{1, 16, 16}, MetricShape{3, 13, 7}, MetricShape{1, 1, 1}, MetricShape{2, 16, 11, true}})
    if (measured(subject, shape).empty()) fail("it gives no number");
}

void same_twice(const Subject& subject) {
  if (measured(subject, {}) != measured(subject, {})) fail("the same batch gives other numbers at the second call");
}

}  // namespace

std::vector<Test> metric_tests() {
  return {{"ESP-M01", "numbers of any batch are finite, of equal models too", Needs::kComponent, "esp.metric/1", finite},
          {"ESP-M02", "the same batch gives the same numbers", Needs::kComponent, "esp.metric/1", same_twice}};
}

}  // namespace espalier::validator
