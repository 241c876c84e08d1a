#pragma once
// What the values of a graph hold while it runs, known before it is lowered: what `recompute` decides by.

#include <cstdint>
#include <vector>

#include "core/ir/graph.h"

namespace espalier::passes {

/// One run of a node; `again` when it makes its values a second time.
struct Run {
  uint32_t node = 0;
  bool again = false;
  bool operator==(const Run&) const = default;
};

/// An order of execution in which some nodes run twice. A second run, and a node that `reads_again`, reads second values
/// where there are such.
struct Schedule {
  std::vector<Run> runs;
  std::vector<bool> twice;        // by node
  std::vector<bool> reads_again;  // by node
  /// Whether `run` reads the second values of node `maker`.
  bool reads_second(Run run, uint32_t maker) const { return twice[maker] && (run.again || reads_again[run.node]); }
};

/// Every node once, in the graph's order.
Schedule in_order(const Graph& graph);

/// What `bytes` take in the arena.
constexpr uint64_t whole_lines(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

struct Liveness {
  std::vector<uint64_t> bytes;  // by run
  size_t peak = 0;              // the first run at which they are most
  uint64_t peak_bytes() const { return bytes.empty() ? 0 : bytes[peak]; }
};

/// Bytes of the arena in use at each run. Counted as lowering places values: inputs, parameters, constants and what is
/// written to an output lie elsewhere, a reshape is its operand, the result of an in-place op the input that it overwrites,
/// each value takes whole cache lines. `workspaces`: scratch of each node's call, by node; may be empty.
Liveness liveness(const Graph& graph, const Schedule& schedule, const std::vector<uint64_t>& workspaces = {});

}  // namespace espalier::passes
