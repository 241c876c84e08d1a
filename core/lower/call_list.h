#pragma once
// The artefact of lowering: calls in order, each with its kernel and the place of every operand. Knows its peak bytes
// before anything runs.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/ir/graph.h"

namespace espalier::lower {

enum class Space : uint8_t { kNone, kArena, kInput, kOutput, kParam, kConstant };

/// Place of one operand: an offset into the arena, or an index into inputs, outputs, params or constants.
struct Place {
  Space space = Space::kNone;  // kNone: an absent optional operand
  uint64_t at = 0;             // arena: byte offset; else: index
  bool operator==(const Place&) const = default;
};

/// Why one kernel of a ranked list did not take a call.
struct Refusal {
  std::string kernel;
  std::string reason;
};

/// Packed copies of parameters that a backend keeps from the first run on, one for each parameter and kernel.
struct KeptCopies {
  uint64_t elements = 0;
  uint64_t element_bytes = 0;  // 0: as wide as the parameter's own
};

struct Call {
  size_t node = 0;     // index into the graph's nodes
  std::string kernel;  // "reference" when no kernel of the backend accepts
  bool on_backend = false;
  std::vector<Place> inputs, results;
  uint64_t workspace_offset = 0, workspace_bytes = 0;
  KeptCopies kept;
  uint64_t param_mask = 0;        // bit i: operand i is a parameter
  std::vector<Refusal> refusals;  // of the kernels ranked before the chosen one, best first
};

/// An output that no call can write in place: an input, a parameter, a constant, or another output once more.
struct OutputCopy {
  size_t output = 0;  // index into CallList::outputs
  Place from;
};

/// Guarantees: values that are live at the same call never share arena bytes; a reshape is no call, its result has the
/// place of its operand, the result of an in-place op that of the input that it overwrites; every arena offset is a multiple
/// of kAlignment.
struct CallList {
  static constexpr uint64_t kAlignment = 64;

  std::shared_ptr<const Graph> graph;  // shared: executables outlive the lowering that made them
  std::vector<Call> calls;
  std::vector<Value> inputs, params, constants;  // what the indices of Place mean
  std::vector<Value> outputs;
  std::vector<OutputCopy> copies;  // done after the last call
  uint64_t arena_bytes = 0;
  size_t peak_call = 0;              // the call at which the arena is fullest
  std::vector<uint64_t> live_bytes;  // of the arena, at each call; the largest is the least that any arena could have
  uint64_t peak_live_bytes() const { return live_bytes.empty() ? 0 : live_bytes[peak_call]; }
};

}  // namespace espalier::lower
