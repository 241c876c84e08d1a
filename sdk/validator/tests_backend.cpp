#include <malloc.h>

#include <cmath>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/exec/executor.h"
#include "core/ir/builder.h"
#include "core/lower/lower.h"
#include "core/ops/interpret.h"
#include "core/ops/registry.h"
#include "plugins/backend_adapter.h"
#include "plugins/elf.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

std::shared_ptr<lower::Backend> opened(const Subject& subject) {
  try {
    return plugins::open_backend(*subject.component, values_of(*subject.component, {}));
  } catch (const Error& error) {
    skip("no device: " + refusal_of(error, *subject.component));
  }
}

/// One op alone in a graph, of f32 inputs.
struct OneOp {
  Graph graph;
  std::vector<std::vector<double>> data;
  double tolerance = 0;
};

std::optional<OneOp> one_op(const OpDef& def, const Sample& sample, uint64_t seed) {
  if (&def == &ops::composite_def || !def.aliases.empty()) return std::nullopt;  // known by name; state in place is for training
  OneOp made;
  made.graph.name = "one";
  made.tolerance = sample.tolerance;
  Builder b(made.graph);
  std::vector<Value> inputs;
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    const TensorType& type = sample.inputs[i];
    if (type.present() && type.dtype != DType::kF32) return std::nullopt;
    inputs.push_back(type.present() ? b.input("x" + std::to_string(i), type) : Value{});
    std::vector<double>& values = made.data.emplace_back();
    const Fill fill = i < sample.fills.size() ? sample.fills[i] : Fill::kNormal;
    for (int64_t k = 0; type.present() && k < type.shape.elements(); ++k) {
      const double u = rng::uniform(seed, i, static_cast<uint64_t>(k)), n = rng::normal(seed, i, static_cast<uint64_t>(k));
      values.push_back(static_cast<float>(fill == Fill::kPositive    ? 0.5 + 1.5 * u
                                          : fill == Fill::kSmall     ? 0.1 * n
                                          : fill == Fill::kTimesteps ? std::floor(1000 * u)
                                          : fill == Fill::kUnit      ? u
                                                                     : n));
    }
  }
  const std::vector<Value> results = b.ops(def, inputs, sample.attrs);
  for (const Value result : results)
    if (b.type(result).dtype != DType::kF32) return std::nullopt;
  for (size_t i = 0; i < results.size(); ++i) b.output("y" + std::to_string(i), results[i]);
  return made;
}

/// Runs it on `backend`; false where no kernel takes it, in which case every kernel has said why.
bool agrees(const OneOp& one, const std::shared_ptr<lower::Backend>& backend, const std::string& name) {
  lower::CallList list = lower::lower(std::make_shared<const Graph>(one.graph), {.backend = backend.get()});
  if (list.calls.size() != 1 || !list.calls[0].on_backend) {
    for (const lower::Call& call : list.calls)
      for (const lower::Refusal& refusal : call.refusals)
        if (refusal.reason.empty()) fail(name + ": kernel '" + refusal.kernel + "' refuses without a reason");
    return false;
  }
  const auto source = [&](const Node& node) { return one.data[static_cast<size_t>(std::stoi(node.label.substr(1)))]; };
  const std::vector<std::vector<double>> wanted = ops::interpret(one.graph, source, false);
  exec::ExecOptions options;
  options.progress = false;
  std::vector<std::vector<float>> in, out;
  for (const Value v : list.inputs) {
    const std::vector<double> values = source(list.graph->def(v));
    in.emplace_back(values.begin(), values.end());
  }
  for (const Value v : list.outputs) out.emplace_back(static_cast<size_t>(list.graph->type(v).shape.elements()));
  exec::Executor executor(std::move(list), backend, nullptr, options);
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const auto& each : in) inputs.push_back(each.data());
  for (auto& each : out) outputs.push_back(each.data());
  executor.run(inputs, outputs);
  for (size_t k = 0; k < out.size(); ++k) {
    double largest = 0, worst = 0;
    for (size_t i = 0; i < out[k].size(); ++i) {
      largest = std::max(largest, std::abs(wanted[k][i]));
      const double off = std::abs(out[k][i] - wanted[k][i]);
      worst = std::isnan(off) ? INFINITY : std::max(worst, off);
    }
    if (!(worst <= one.tolerance * std::max(largest, 1.0)))  // inputs are of the order of one
      fail(name + " is off by " + std::to_string(worst) + ", the largest value is " + std::to_string(largest));
  }
  return true;
}

void conformance(const Subject& subject) {
  const auto backend = opened(subject);
  size_t taken = 0;
  for (const OpDef* def : ops::all()) {
    const std::vector<Sample> samples = (*def->samples)();
    for (size_t i = 0; i < samples.size(); ++i)
      if (const std::optional<OneOp> one = one_op(*def, samples[i], subject.seed))
        taken += agrees(*one, backend, std::string(*def->name) + " sample " + std::to_string(i));
  }
  if (taken == 0) fail("it takes no sample of any op in f32");
}

void open_twice(const Subject& subject) {
  opened(subject);
  opened(subject);
}

void runs_keep_no_memory(const Subject& subject) {
  if (plugins::host_has_asan() || plugins::host_has_tsan()) skip("a sanitizer has its own allocator");
  const auto backend = opened(subject);
  for (const OpDef* def : ops::all()) {
    const std::optional<OneOp> one = one_op(*def, (*def->samples)()[0], subject.seed);
    if (!one || !agrees(*one, backend, std::string(*def->name))) continue;
    const auto heap = [] { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; };
    for (int i = 0; i < 5; ++i) agrees(*one, backend, "");
    const size_t before = heap();
    for (int i = 0; i < 100; ++i) agrees(*one, backend, "");
    const size_t after = heap();
    if (after > before && (after - before) / 100 >= 64)
      fail(std::to_string((after - before) / 100) + " bytes are kept at each run: a leak");
    return;
  }
}

}  // namespace

std::vector<Test> backend_tests() {
  return {{"ESP-B01", "a device opens, and opens again", Needs::kComponent, "esp.backend/1", open_twice},
          {"ESP-B02", "every sample that it takes equals the reference, and what it refuses has a reason", Needs::kComponent,
           "esp.backend/1", conformance},
          {"ESP-B04", "executables and runs keep no memory", Needs::kComponent, "esp.backend/1", runs_keep_no_memory}};
}

}  // namespace espalier::validator
