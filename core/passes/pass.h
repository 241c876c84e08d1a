#pragma once
// A pass: graph in, graph out, same meaning. One pair of files each; pipeline.cpp lists them.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ir/graph.h"

namespace espalier::passes {

/// Whether the backend that the graph is meant for runs this call as one kernel; `is_param` as `params_among` gives it.
/// Composites that it does not accept are never formed, and those that a graph already holds are inlined by `expand`.
using Accepts = std::function<bool(const OpCall&, const std::vector<bool>& is_param)>;
bool accepts_everything(const OpCall&, const std::vector<bool>& is_param);
bool accepts_nothing(const OpCall&, const std::vector<bool>& is_param);
/// Takes the calls of the ops named; `{"all"}` and `{"none"}` mean what they say. Errors: UserError with did-you-mean.
Accepts accepts_named(std::span<const std::string> ops);

/// Bytes of scratch that the backend takes in the arena while it runs this call; `is_param` as for `Accepts`.
using Workspace = std::function<uint64_t(const OpCall&, const std::vector<bool>& is_param)>;

/// For each of the `count` operands of a call that reads `operands`: whether it is a parameter of the model or a reshape of
/// one. Operands that are left out are none.
std::vector<bool> params_among(const Graph& graph, std::span<const Value> operands, size_t count);

/// What a pass may know besides the graph.
struct Context {
  Accepts accepts = accepts_everything;
  std::optional<uint64_t> recompute_above_bytes = {};  // target of `recompute`; absent: it does nothing
  Workspace workspace = {};                            // absent: no call takes scratch
  std::optional<DType> compute = {};                   // of `mixed_precision`; absent: it does nothing
};

struct Pass {
  std::string_view name;
  std::string_view guarantee;  // one sentence: what holds afterwards
  Graph (*run)(const Graph&, const Context&);
};

}  // namespace espalier::passes
