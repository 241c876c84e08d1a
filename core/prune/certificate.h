#pragma once
// The identity certificate: two independent ways to a student's graph must agree.

#include <cstdint>
#include <string>

#include "core/ir/graph.h"
#include "core/model/block_tree.h"
#include "core/prune/removal_plan.h"

namespace espalier::prune {

struct Certificate {
  bool holds = false;
  std::string difference;  // where the two graphs part first, with block paths; empty when they agree
  size_t nodes = 0;        // of the student's graph, parameters included
  uint64_t hash = 0;       // structural hash of the student's graph with the teacher's parameter names
  /// "holds: 3,021 nodes, hash 1f…" or "FAILS: …".
  std::string describe() const;
};

/// Compares (a) the graph built from the student's tree, its parameters renamed to their origins, with (b) the teacher's
/// graph in which every region that the plan names is bypassed by block path (its output becomes its input, the skips
/// that it read are dropped), followed by removal of what no output needs. (b) uses neither apply_plan nor config_of.
///
/// Cost: two graph builds at a small size; reads no weights.
Certificate certify(const model::BlockTree& teacher, const RemovalPlan& plan, const model::BlockTree& student);

/// (b) alone: `graph` with every region of `plan` bypassed, and only what its outputs need.
/// Errors: UserError naming the region that has no nodes, or whose two ends do not have one type.
Graph bypass_regions(const Graph& graph, const RemovalPlan& plan);

}  // namespace espalier::prune
