#include "core/inspect/session.h"

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

lower::CallList compile(const Graph& graph, const SessionOptions& options) {
  passes::PipelineOptions pipeline;
  pipeline.context = context_of(options.backend);
  pipeline.context.recompute_above_bytes = options.recompute_above_bytes;
  pipeline.disabled = options.disabled_passes;
  pipeline.dump_folder = options.dump_folder;
  auto optimised = std::make_shared<const Graph>(passes::optimise(graph, pipeline));
  return lower::lower(std::move(optimised), {.backend = options.backend.get(), .strict = options.strict});
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
