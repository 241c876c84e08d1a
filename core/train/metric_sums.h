#pragma once
// The metrics of a recipe over one validation.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/data/source.h"
#include "core/model/model.h"
#include "core/train/metric.h"
#include "core/train/metrics.h"
#include "core/train/services.h"
#include "core/train/student.h"

namespace espalier::train {

/// [[metric]]s, made once for a run, in the recipe's order.
class RunMetrics {
 public:
  /// Errors: UserError with the place of a metric that reads pictures where the data is not a cache or there is no teacher, of
  /// one without held-out rows, of a name that is another's.
  RunMetrics(const Recipe& recipe, const Services& services, const data::Source& source);

  bool reads_outputs() const;
  bool empty() const { return specs_.empty(); }
  /// Names that their numbers begin with, without "val/".
  std::vector<std::string> names() const;

  /// Forgets the numbers of the validation before.
  void begin();
  /// The predictions of one held-out batch: output, target, teacher_output.
  void add_outputs(const exec::FloatTensors& predictions, const exec::FloatTensor& timestep);
  /// Pictures of held-out rows by `student` and the teacher of `stage`, whose own are drawn once.
  /// Cost: (steps · pictures) forward passes of each. Errors: those of sampling; Interrupted.
  void add_pictures(const Student& student, const model::Model& teacher, size_t stage, data::Source& source);
  /// val/<name> and val/<name>/<label>: means over rows.
  NamedNumbers numbers() const;

 private:
  struct Made {
    const MetricSpec* spec = nullptr;
    std::unique_ptr<MetricStrategy> metric;
    std::string name;
  };
  struct Sum {
    double sum = 0, rows = 0;
  };
  void add(const Made& each, const MetricView& view, int64_t rows);

  const Recipe& recipe_;
  const Services& services_;
  std::vector<Made> specs_;
  std::map<std::string, Sum> sums_;  // by key
  // The teacher's, by stage and metric.
  std::map<std::pair<size_t, size_t>, std::vector<exec::FloatTensor>> teacher_pictures_;
};

}  // namespace espalier::train
