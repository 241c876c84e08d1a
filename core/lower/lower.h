#pragma once
// Graph → call list: which kernel runs each node, and where every value lies.

#include <memory>
#include <string>
#include <unordered_map>

#include "core/ir/graph.h"
#include "core/lower/backend.h"
#include "core/lower/call_list.h"

namespace espalier::lower {

/// Asks a backend once for each distinct (op, types, attributes, which operands are parameters).
class KernelCache {
 public:
  /// `backend` may be null: nothing is accepted then. Must outlive the cache.
  explicit KernelCache(Backend* backend) : backend_(backend) {}
  /// Valid as long as the cache.
  const KernelChoice& support(const OpCall& call, const std::string& path, const std::vector<bool>& is_param);
  size_t asked() const { return choices_.size(); }

 private:
  Backend* backend_;
  std::unordered_map<std::string, KernelChoice> choices_;
};

struct LowerOptions {
  Backend* backend = nullptr;  // null: every call runs on the reference
  bool strict = false;         // a call that no kernel of the backend accepts is an error
};

/// Lowers `graph` in the order of its nodes. Dead nodes are calls too: run dead-code removal first.
///
/// Outputs are written where they are wanted by the call that makes them; values in between share one arena.
/// Errors: UnsupportedError listing every refused call with each kernel's reason, when `strict`.
/// Cost: SDXL in under 50 ms besides the backend's answers.
CallList lower(std::shared_ptr<const Graph> graph, const LowerOptions& options);

/// The call list as text: one line per call with kernel, places, workspace, FLOPs and block path, then totals.
std::string to_text(const CallList& list);

/// One line per distinct refused call: "conv2d f32[1,8,8,4] …: onednn: reason; eigen: reason (path, and 3 more)".
std::string refusals_text(const CallList& list);

}  // namespace espalier::lower
