#include "sdk/validator/loss_case.h"

#include <cmath>

#include "core/base/rng.h"
#include "core/ir/builder.h"
#include "core/ir/verify.h"
#include "core/ir/walk.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/interpret.h"
#include "core/ops/stop_gradient.h"
#include "plugins/loss_adapter.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

/// "teacher_output" and "target" for "output", "teacher.0" for "student.0": what an equal student has.
std::string equal_name(const std::string& name) {
  if (name == "output" || name == "teacher_output") return "target";
  if (name.rfind("student.", 0) == 0) return "teacher." + name.substr(8);
  return name;
}

}  // namespace

LossCase::LossCase(const plugins::Component& component, const plugins::ParamValues& values, const LossShape& shape)
    : component_(component), shape_(shape), loss_(plugins::make_loss(component, values)) {}

void LossCase::emit() {
  graph_ = Graph{};
  graph_.name = "loss";
  terms_.clear();
  Builder b(graph_);
  const TensorType image = f32({shape_.batch, shape_.height, shape_.width, shape_.channels}), each = f32({shape_.batch});
  distill::LossView view;
  view.predicts_v = shape_.v;
  view.output = b.input("output", image);
  view.teacher_output = ops::stop_gradient(b, b.input("teacher_output", image));
  view.target = b.input("target", image);
  view.timestep = b.input("timestep", each);
  view.alpha_bar = b.input("alpha_bar", each);
  view.param = [&](const std::string& name, const TensorType& type, const distill::ParamInit&) {
    const Value known = graph_.find_input("param." + name);
    return known.present() ? known : b.input("param." + name, type);
  };
  if (loss_->pairs().wanted) {
    const TensorType kinds[] = {f32({shape_.batch, shape_.height, shape_.width, shape_.features}),
                                f32({shape_.batch, shape_.height * shape_.width, shape_.features})};
    for (int i = 0; i < 2; ++i) {
      const std::string n = std::to_string(i);
      distill::PairValues pair{{"teacher.block." + n, "student.block." + n}, {}, {}};
      pair.teacher = ops::stop_gradient(b, b.input("teacher." + n, kinds[i]));
      std::vector<int64_t> dims = kinds[i].shape.dims();
      if (loss_->any_width()) dims.back() += 2;
      pair.student = b.input("student." + n, f32(Shape(dims)));
      view.pairs.push_back(pair);
    }
  }
  const std::vector<distill::LossTerm> made = loss_->emit(b, view);
  Value total;
  for (const distill::LossTerm& term : made) {
    if (!(graph_.type(term.value) == f32({})))
      fail("term '" + term.label + "' is " + to_string(graph_.type(term.value)) + ", needs to be an f32 scalar");
    const std::string name = (term.logged ? "log." : "term.") + std::to_string(terms_.size()) + "." + term.label;
    for (const std::string& other : terms_)
      if (other.substr(other.find('.', 5)) == name.substr(name.find('.', 5))) fail("two terms are labelled '" + term.label + "'");
    terms_.push_back(name);
    b.output(name, term.value);
    if (!term.logged) total = total.present() ? ops::add(b, total, term.value) : term.value;
  }
  if (!total.present()) fail("it emits no term");
  b.output("total", total);
  verify(graph_);
  for (size_t i = 0; i < graph_.nodes().size(); ++i)
    if (graph_.node(i).kind == NodeKind::kInput && graph_.node(i).label.rfind("param.", 0) == 0 &&
        users(graph_)[graph_.node(i).results[0].id].empty())
      fail("no term reads the parameter '" + graph_.node(i).label.substr(6) + "': nothing would train it");
}

std::map<std::string, double> LossCase::evaluate(uint64_t seed, bool equal) const {
  const auto source = [&](const Node& node) {
    const std::string name = equal ? equal_name(node.label) : node.label;
    const auto elements = static_cast<size_t>(graph_.type(node.results[0]).shape.elements());
    std::vector<double> values(elements);
    for (size_t i = 0; i < elements; ++i)
      values[i] = name == "timestep"    ? std::floor(1000 * rng::uniform(seed, 9, i))
                  : name == "alpha_bar" ? 0.01 + 0.98 * rng::uniform(seed, 10, i)
                                        : rng::normal(seed, rng::stream_of(name), i);
    return values;
  };
  const std::vector<std::vector<double>> made = ops::interpret(graph_, source, false);
  std::map<std::string, double> out;
  for (size_t i = 0; i < made.size(); ++i) out[graph_.outputs()[i].name] = made[i][0];
  return out;
}

}  // namespace espalier::validator
