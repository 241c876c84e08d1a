#pragma once
// The whole way from a model to something that runs, in one place: graph → passes → lowering → executor.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/exec/executor.h"
#include "core/io/tensor_source.h"
#include "core/lower/backend.h"
#include "core/lower/call_list.h"
#include "core/model/model.h"
#include "core/model/unet_graph.h"
#include "core/passes/pipeline.h"

namespace espalier::inspect {

struct SessionOptions {
  std::shared_ptr<lower::Backend> backend;  // null: the built-in reference
  bool strict = false;                      // no call may fall to the reference
  bool mapped = false;                      // --weights mapped
  bool timed = false;
  std::vector<std::string> disabled_passes = {};
  std::filesystem::path dump_folder = {};  // graphs after each pass
};

/// What `backend` runs as one kernel, as the passes ask it. Null: everything, because the reference computes every op.
passes::Accepts accepts_of(const std::shared_ptr<lower::Backend>& backend);

/// Optimises `graph` for the backend and lowers it. Errors: those of the passes and of lower::lower.
lower::CallList compile(const Graph& graph, const SessionOptions& options);

/// The graph of `tree` compiled: what `inspect --explain` shows. Reads no weights.
lower::CallList compile(const model::BlockTree& tree, const model::GraphOptions& sizes, const SessionOptions& options);

/// Ready to run. Errors: UserError when the model has no weights.
std::unique_ptr<exec::Executor> open_session(const model::Model& model, const model::GraphOptions& sizes,
                                             const SessionOptions& options);

}  // namespace espalier::inspect
