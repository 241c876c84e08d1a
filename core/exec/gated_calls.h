#pragma once
// Which calls a gate of zero makes useless: a gate then gives x itself, so what only makes its y need not run.

#include <cstddef>
#include <vector>

#include "core/lower/call_list.h"

namespace espalier::exec {

/// A gate whose factor is known before the run, because it is an element of an input of the graph.
struct InputGate {
  size_t input = 0;    // index into CallList::inputs
  size_t element = 0;  // of that input, which is f32
  bool operator==(const InputGate&) const = default;
  bool operator<(const InputGate& other) const { return input != other.input ? input < other.input : element < other.element; }
};

/// For every call, the gates each of which makes it useless when it is zero, sorted. Empty for calls that an output needs
/// whatever the gates are. Cost: linear in the calls times the depth to which units are nested.
std::vector<std::vector<InputGate>> gates_over(const lower::CallList& list);

}  // namespace espalier::exec
