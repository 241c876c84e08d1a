#pragma once
// Batches that a metric can be asked about.

#include <map>
#include <string>

#include "core/exec/tensor.h"
#include "plugins/loader.h"

namespace espalier::validator {

struct MetricShape {
  int64_t batch = 3, height = 13, width = 12;
  bool equal = false;  // the student is the teacher
};

class MetricCase {
 public:
  MetricCase(uint64_t seed, const MetricShape& shape);
  /// Its numbers by label. Errors: the plugin's.
  std::map<std::string, double> measure(const plugins::Component& component, const plugins::ParamValues& values) const;

 private:
  exec::FloatTensor student_output_, teacher_output_, target_, timestep_, student_pictures_, teacher_pictures_;
};

}  // namespace espalier::validator
