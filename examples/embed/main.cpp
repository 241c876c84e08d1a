// embed TEACHER RECIPE OUT: load, prune, run, distil, from C++.

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/base/error.h"
#include "core/exec/executor.h"
#include "core/inspect/session.h"
#include "core/model/model.h"
#include "core/prune/certificate.h"
#include "core/prune/strategy.h"
#include "core/prune/student_files.h"
#include "core/train/run.h"
#include "plugins/backend_adapter.h"
#include "plugins/loss_adapter.h"
#include "plugins/metric_adapter.h"
#include "plugins/prune_adapter.h"
#include "plugins/registry.h"

using namespace espalier;

namespace {

/// Values for a component's parameters, from "k=v" texts or a table of a recipe.
plugins::ParamValues values_of(const plugins::Component& component, const plugins::ParamInput& input) {
  ErrorList errors;
  plugins::ParamValues values = plugins::resolve_params(component.params, input, component.id, errors);
  errors.throw_if_any();
  return values;
}

/// The student that `id` makes of `teacher`, written to `out`.
model::Model prune_by(const model::Model& teacher, const plugins::Registry& registry, const std::string& id,
                      const std::filesystem::path& out) {
  const plugins::Component& component = registry.find(plugins::kPruneKind, id);
  const auto pruner = plugins::make_pruner(component, values_of(component, {nullptr, "", {}, {"keep=1"}}));
  const prune::RemovalPlan plan = prune::run_strategy(*pruner, teacher.tree, {.weights = teacher.weights}).plan;
  const model::BlockTree student = prune::apply_plan(teacher.tree, plan);
  std::printf("identity certificate: %s\n", prune::certify(teacher.tree, plan, student).describe().c_str());
  prune::write_student(teacher, student, plan, out);
  return model::load_model(out, {});
}

/// One prediction of `model` on `backend`; its root mean square.
double run(const model::Model& model, const std::shared_ptr<lower::Backend>& backend) {
  inspect::SessionOptions session;
  session.backend = backend;
  const auto executor = inspect::open_session(model, {.batch = 1, .height = 8, .width = 8, .tokens = 5}, session);
  exec::FloatTensors inputs;
  for (const Value v : executor->list().inputs) {
    const Graph& graph = *executor->list().graph;
    exec::FloatTensor& tensor = inputs[graph.def(v).label];
    tensor.shape = graph.type(v).shape;
    for (int64_t i = 0; i < tensor.shape.elements(); ++i) tensor.values.push_back(std::sin(0.37F * static_cast<float>(i)));
  }
  double squares = 0;
  const exec::FloatTensor sample = exec::run_named(*executor, inputs).at("sample");
  for (const float value : sample.values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(sample.values.size()));
}

/// The run that a recipe describes.
void distil(const std::filesystem::path& file, const std::filesystem::path& out, const plugins::Registry& registry,
            const std::shared_ptr<lower::Backend>& backend) {
  ErrorList errors;
  const train::Recipe recipe = train::read_recipe(file, {}, errors);
  errors.throw_if_any();
  const auto find = [&](std::string_view kind, const train::PluginUse& use, const std::vector<std::string>& host_keys) {
    const plugins::Component& component = registry.find(kind, use.id);
    return std::pair<const plugins::Component&, plugins::ParamValues>(
        component, values_of(component, {use.table, recipe.file.string(), host_keys, {}}));
  };
  train::Services services;
  services.backend = backend;
  services.say = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  services.make_loss = [&](const train::PluginUse& use) {
    const auto [component, values] = find(plugins::kLossKind, use, train::loss_host_keys());
    return plugins::make_loss(component, values);
  };
  services.make_pruner = [&](const train::PluginUse& use) {
    const auto [component, values] = find(plugins::kPruneKind, use, train::prune_host_keys());
    return plugins::make_pruner(component, values);
  };
  services.make_metric = [&](const train::PluginUse& use) {
    const auto [component, values] = find(plugins::kMetricKind, use, train::metric_host_keys());
    return plugins::make_metric(component, values);
  };
  train::run_recipe(recipe, {out, false}, services);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) return std::fprintf(stderr, "embed TEACHER RECIPE OUT\n"), 2;
  const std::filesystem::path out = argv[3];
  const plugins::Registry registry(plugins::request_of_process({}));
  const plugins::Component& cpu = registry.find_backend("cpu");
  const std::shared_ptr<lower::Backend> backend = plugins::open_backend(cpu, values_of(cpu, {}));
  const model::Model teacher = model::load_model(argv[1], {});
  const model::Model student = prune_by(teacher, registry, "espalier.prune.first-k", out / "pruned");
  std::printf("teacher %.4f, student %.4f\n", run(teacher, backend), run(student, backend));
  distil(argv[2], out / "run", registry, backend);
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "embed: %s\n", error.what());
  return error.exit_code();
}
