#pragma once
// The whole way from a model to something that runs, in one place: graph → passes → lowering → executor.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
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
  std::optional<uint64_t> recompute_above_bytes = {};  // of the arena, for a training graph; absent: nothing is computed twice
  std::filesystem::path dump_folder = {};              // graphs after each pass
  DType compute = DType::kF32;  // f16, bf16: what the graph is computed in; no call may fall to the reference
};

/// What the passes ask `backend`: which calls it runs as one kernel, and with how much scratch. Null: all of them and none,
/// because the reference computes every op.
passes::Context context_of(const std::shared_ptr<lower::Backend>& backend);

/// Errors: UserError that names every op of `list` which is left to the reference, where `backend` is to compute in `compute`.
void require_kernels(const lower::CallList& list, const std::shared_ptr<lower::Backend>& backend, DType compute);

/// Optimises `graph` for the backend and lowers it. Errors: those of the passes and of lower::lower; UserError when the backend
/// has no kernels for what is to be computed in another type than f32.
lower::CallList compile(const Graph& graph, const SessionOptions& options);

/// The graph of `tree` compiled: what `inspect --explain` shows. Reads no weights.
lower::CallList compile(const model::BlockTree& tree, const model::GraphOptions& sizes, const SessionOptions& options);

/// Ready to run. Errors: UserError when the model has no weights.
std::unique_ptr<exec::Executor> open_session(const model::Model& model, const model::GraphOptions& sizes,
                                             const SessionOptions& options);

}  // namespace espalier::inspect
