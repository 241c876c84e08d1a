#pragma once
// A graph that a loss can be emitted into without any UNet: predictions and features are inputs.

#include <map>
#include <memory>

#include "core/distill/loss.h"
#include "core/ir/graph.h"
#include "plugins/loader.h"

namespace espalier::validator {

struct LossShape {
  int64_t batch = 2, height = 5, width = 4, channels = 3, features = 6;
  bool v = false;
};

class LossCase {
 public:
  LossCase(const plugins::Component& component, const plugins::ParamValues& values, const LossShape& shape);
  /// Emits, and makes the sum of the terms the output "total"; each logged value and term has one of its own. Errors: the
  /// plugin's.
  void emit();
  const Graph& graph() const { return graph_; }
  const std::vector<std::string>& terms() const { return terms_; }
  /// Values of every term by its label, for inputs drawn by `seed`; with `equal` the student's are the teacher's and the target.
  std::map<std::string, double> evaluate(uint64_t seed, bool equal) const;

 private:
  const plugins::Component& component_;
  LossShape shape_;
  std::unique_ptr<distill::LossStrategy> loss_;
  Graph graph_;
  std::vector<std::string> terms_;
};

}  // namespace espalier::validator
