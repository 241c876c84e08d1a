#pragma once
// A pass: graph in, graph out, same meaning. One pair of files each; pipeline.cpp lists them.

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/ir/graph.h"

namespace espalier::passes {

/// Whether the backend that the graph is meant for runs this call as one kernel. Composites that it does not accept are
/// never formed, and those that a graph already holds are inlined by `expand`.
using Accepts = std::function<bool(const OpCall&)>;
bool accepts_everything(const OpCall&);
bool accepts_nothing(const OpCall&);
/// Takes the calls of the ops named; `{"all"}` and `{"none"}` mean what they say. Errors: UserError with did-you-mean.
Accepts accepts_named(std::span<const std::string> ops);

/// What a pass may know besides the graph.
struct Context {
  Accepts accepts = accepts_everything;
};

struct Pass {
  std::string_view name;
  std::string_view guarantee;  // one sentence: what holds afterwards
  Graph (*run)(const Graph&, const Context&);
};

}  // namespace espalier::passes
