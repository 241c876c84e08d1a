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

struct Call {
  size_t node = 0;             // index into the graph's nodes
  std::string kernel;          // "reference" when no kernel of the backend accepts
  bool on_backend = false;
  std::vector<Place> inputs, results;
  uint64_t workspace_offset = 0, workspace_bytes = 0;
  uint64_t param_mask = 0;     // bit i: operand i is a parameter
};

struct CallList {
  std::shared_ptr<const Graph> graph;  // shared: executables outlive the lowering that made them
  std::vector<Call> calls;
  std::vector<Value> inputs, params, constants;  // what the indices of Place mean
  std::vector<Value> outputs;
  uint64_t arena_bytes = 0;
  size_t peak_call = 0;        // the call at which the arena is fullest
};

}  // namespace espalier::lower
