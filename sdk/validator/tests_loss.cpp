#include <espalier/loss.h>

#include <cmath>

#include "core/autodiff/check_gradient.h"
#include "core/base/error.h"
#include "core/ir/print.h"
#include "core/ir/rewrite.h"
#include "core/ir/walk.h"
#include "plugins/graph_build.h"
#include "sdk/validator/loss_case.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

constexpr double kTolerance = 1e-4;  // of a gradient against finite differences, in double

LossCase emitted(const Subject& subject, const LossShape& shape = {}) {
  LossCase made(*subject.component, values_of(*subject.component, {}), shape);
  try {
    made.emit();
  } catch (const UserError& error) {
    skip("it refuses: " + refusal_of(error, *subject.component));
  }
  return made;
}

void finite(const Subject& subject) {
  for (const LossShape& shape :
       {LossShape{}, LossShape{1, 1, 1, 1, 1}, LossShape{3, 7, 5, 4, 9, true}, LossShape{1, 8, 8, 16, 2}}) {
    const LossCase made = emitted(subject, shape);
    for (const bool equal : {false, true})
      for (const auto& [name, value] : made.evaluate(subject.seed, equal))
        if (!std::isfinite(value))
          fail(name + " is " + std::to_string(value) + (equal ? " where the student equals the teacher" : "") + ", batch " +
               std::to_string(shape.batch) + ", " + std::to_string(shape.height) + "x" + std::to_string(shape.width));
  }
}

void gradient(const Subject& subject) {
  const LossCase made = emitted(subject);
  Graph graph = made.graph();
  std::vector<Output> total;
  for (const Output& output : graph.outputs())
    if (output.name == "total") total.push_back(output);
  graph.set_outputs(total);
  const autodiff::GradientGraph with = autodiff::with_gradients(filtered(graph, needed_nodes(graph)));
  bool trains = false;
  for (const autodiff::GradientRow& row :
       autodiff::check_gradient(with, autodiff::random_source(with.graph, subject.seed, false), {.seed = subject.seed})) {
    if (!row.finite) fail("the gradient of " + row.name + " is not finite");
    if (row.worst > kTolerance)
      fail("the gradient of " + row.name + " is off by " + std::to_string(row.worst) + " of finite differences");
    const bool of_teacher = row.name.rfind("teacher", 0) == 0;
    if (of_teacher && row.largest_gradient > 0) fail("a gradient reaches " + row.name + ": nothing may train the teacher");
    const bool of_student = row.name == "output" || row.name.rfind("student.", 0) == 0;
    trains = trains || (of_student && !row.absent && row.largest_gradient > 0);
  }
  if (!trains) warn("no gradient reaches the student: this loss trains nothing");
}

void same_ops(const Subject& subject) {
  if (print(emitted(subject).graph()) != print(emitted(subject).graph())) fail("the second call emits other ops than the first");
}

void properties(const Subject& subject) {
  const auto& vtable = *static_cast<const esp_loss_vtable*>(subject.component->vtable);
  const uint32_t known = ESP_LOSS_ANY_WIDTH | ESP_LOSS_ZERO_WHEN_EQUAL | ESP_LOSS_NON_NEGATIVE;
  if ((vtable.flags & ~known) != 0) fail("it has flags that this ABI does not know");
  if ((vtable.flags & (ESP_LOSS_ZERO_WHEN_EQUAL | ESP_LOSS_NON_NEGATIVE)) == 0) skip("it declares none");
  const LossCase made = emitted(subject);
  for (uint64_t seed = subject.seed; seed < subject.seed + 5; ++seed) {
    if ((vtable.flags & ESP_LOSS_NON_NEGATIVE) != 0 && made.evaluate(seed, false).at("total") < 0)
      fail("it is declared not negative, and is " + std::to_string(made.evaluate(seed, false).at("total")));
    if ((vtable.flags & ESP_LOSS_ZERO_WHEN_EQUAL) != 0 && std::abs(made.evaluate(seed, true).at("total")) > 1e-6)
      fail("it is declared zero where student and teacher are equal, and is " +
           std::to_string(made.evaluate(seed, true).at("total")));
  }
}

/// Lets the builder's call number k fail, for each k: the plugin must stop there and hand the status on.
void builder_fails(const Subject& subject) {
  constexpr int64_t kMost = 24;
  for (int64_t k = 0; k < kMost; ++k) {
    plugins::inject_build_failure(k);
    LossCase made(*subject.component, values_of(*subject.component, {}), {});
    std::string text;
    try {
      made.emit();
    } catch (const Verdict& verdict) {
      text = verdict.what();
    } catch (const std::exception& error) {
      text = error.what();
    }
    if (!plugins::build_failure_was_injected()) return plugins::inject_build_failure(-1);  // it has fewer calls than that
    if (text.find(plugins::kInjected) == std::string::npos)
      fail("the host refused call " + std::to_string(k) + " of the builder, and emit " +
           (text.empty() ? "succeeds" : "says another thing: " + text) + "; rule ESP-R6");
  }
  plugins::inject_build_failure(-1);
}

}  // namespace

std::vector<Test> loss_tests() {
  return {
      {"ESP-O01", "terms of any size are finite f32 scalars, of equal models too", Needs::kComponent, "esp.loss/1", finite},
      {"ESP-O02", "its gradient is that of finite differences, and none reaches the teacher", Needs::kComponent, "esp.loss/1",
       gradient},
      {"ESP-O03", "the same view gives the same ops", Needs::kComponent, "esp.loss/1", same_ops},
      {"ESP-O04", "it has the properties that it declares", Needs::kComponent, "esp.loss/1", properties},
      {"ESP-O05", "it stops where the builder refuses, with the builder's text", Needs::kComponent, "esp.loss/1", builder_fails}};
}

}  // namespace espalier::validator
