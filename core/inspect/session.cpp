#include "core/inspect/session.h"

#include "core/base/error.h"
#include "core/lower/lower.h"

namespace espalier::inspect {

passes::Accepts accepts_of(const std::shared_ptr<lower::Backend>& backend) {
  if (backend == nullptr) return passes::accepts_everything;
  struct Asked {
    explicit Asked(std::shared_ptr<lower::Backend> b) : backend(std::move(b)), cache(backend.get()) {}
    std::shared_ptr<lower::Backend> backend;
    lower::KernelCache cache;
  };
  return [asked = std::make_shared<Asked>(backend)](const OpCall& call, const std::vector<bool>& is_param) {
    return asked->cache.support(call, "", is_param).accepted;
  };
}

lower::CallList compile(const Graph& graph, const SessionOptions& options) {
  passes::PipelineOptions pipeline;
  pipeline.context.accepts = accepts_of(options.backend);
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
