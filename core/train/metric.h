#pragma once
// What validation asks of a metric. Owned by the room that calls it; `plugins/` implements it over the C ABI.

#include <string>
#include <utility>
#include <vector>

#include "core/exec/tensor.h"

namespace espalier::train {

/// One batch as a metric sees it; what it does not read is null. Images [N,H,W,C]; pictures from 0 to 1.
struct MetricView {
  const exec::FloatTensor *student_output = nullptr, *teacher_output = nullptr, *target = nullptr, *timestep = nullptr;
  const exec::FloatTensor *student_pictures = nullptr, *teacher_pictures = nullptr;
};

class MetricStrategy {
 public:
  virtual ~MetricStrategy() = default;
  virtual std::string id() const = 0;
  /// Key of its numbers, after "val/", where the recipe gives none.
  virtual std::string default_name() const = 0;
  virtual bool reads_outputs() const = 0;
  virtual bool reads_pictures() const = 0;
  /// Its numbers of one batch, by label. Errors: UserError with the plugin's text when it refuses; Error for a number that is not
  /// finite.
  virtual std::vector<std::pair<std::string, double>> measure(const MetricView& view) = 0;
};

}  // namespace espalier::train
