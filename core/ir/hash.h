#pragma once
// Equality and hash of what a graph computes. Names of values and of the graph do not count; neither does where among
// the nodes an input stands.

#include <cstdint>
#include <string>

#include "core/ir/graph.h"

namespace espalier {

/// What counts besides ops, attributes, types, dataflow, constants, and the names of inputs and outputs.
struct StructureOptions {
  bool paths = true;        // block paths and tags
  bool param_names = true;  // off: parameters are equal when they stand at the same places
};

/// Equal for structurally equal graphs; the same on every machine. 64 bits of a mixing hash: good for caches, not
/// against an adversary.
uint64_t structural_hash(const Graph& graph, const StructureOptions& options = {});

/// "" when the graphs are equal node by node in order; else the first difference, with both nodes printed.
std::string structural_difference(const Graph& a, const Graph& b, const StructureOptions& options = {});
inline bool structurally_equal(const Graph& a, const Graph& b, const StructureOptions& options = {}) {
  return structural_difference(a, b, options).empty();
}

}  // namespace espalier
