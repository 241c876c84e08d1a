#include "core/inspect/session.h"

#include <map>

#include "core/base/error.h"
#include "core/lower/lower.h"

namespace espalier::inspect {

passes::Context context_of(const std::shared_ptr<lower::Backend>& backend) {
  if (backend == nullptr) return {};
  struct Asked {
    explicit Asked(std::shared_ptr<lower::Backend> b) : backend(std::move(b)), cache(backend.get()) {}
    std::shared_ptr<lower::Backend> backend;
    lower::KernelCache cache;
  };
  const auto asked = std::make_shared<Asked>(backend);  // shared: both functions are copied along with the context
  passes::Context context;
  context.accepts = [asked](const OpCall& call, const std::vector<bool>& is_param) {
    return asked->cache.support(call, "", is_param).accepted;
  };
  context.workspace = [asked](const OpCall& call, const std::vector<bool>& is_param) {
    const lower::KernelChoice& choice = asked->cache.support(call, "", is_param);
    return choice.accepted ? choice.workspace_bytes : 0;
  };
  return context;
}

void require_kernels(const lower::CallList& list, const std::shared_ptr<lower::Backend>& backend, DType compute) {
  if (backend == nullptr) return;
  std::map<std::string, std::string> missing;  // op → why
  for (const lower::Call& call : list.calls)
    if (!call.on_backend)
      missing.emplace(std::string(*list.graph->node(call.node).op->name), call.refusals.empty() ? "it has none" : call.refusals.front().reason);
  if (missing.empty()) return;
  std::string lines;
  for (const auto& [op, why] : missing) lines += "\n  " + op + ": " + why;
  throw UserError("[precision] " + backend->name() + " has no kernels in " + std::string(name_of(compute)) +
                  " for what follows; compute in f32, or on another backend:" + lines);
}

lower::CallList compile(const Graph& graph, const SessionOptions& options) {
  passes::PipelineOptions pipeline;
  pipeline.context = context_of(options.backend);
  pipeline.context.recompute_above_bytes = options.recompute_above_bytes;
  pipeline.context.compute = options.compute;
  pipeline.disabled = options.disabled_passes;
  pipeline.dump_folder = options.dump_folder;
  auto optimised = std::make_shared<const Graph>(passes::optimise(graph, pipeline));
  lower::CallList list = lower::lower(std::move(optimised), {.backend = options.backend.get(), .strict = options.strict});
  if (options.compute != DType::kF32) require_kernels(list, options.backend, options.compute);
  return list;
}

lower::CallList compile(const model::BlockTree& tree, const model::GraphOptions& sizes, const SessionOptions& options) {
  return compile(model::build_graph(tree, sizes), options);
}

std::unique_ptr<exec::Executor> open_session(const model::Model& model, const model::GraphOptions& sizes,
                                             const SessionOptions& options) {
  if (!model.has_weights())
    throw UserError("[" + model.path.string() +
                    "] a lone config has no weights to run; name a folder that has them, or give --random-weights SEED");
  return std::make_unique<exec::Executor>(compile(model.tree, sizes, options), options.backend, model.weights,
                                          exec::ExecOptions{.mapped = options.mapped, .timed = options.timed});
}

}  // namespace espalier::inspect
