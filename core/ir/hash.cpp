// Values are numbered anew: inputs first, then results in node order. Two graphs are equal when their nodes, described
// with these numbers, are equal in order; the hash mixes the same descriptions.

#include "core/ir/hash.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/ir/print.h"

namespace espalier {
namespace {

struct Numbering {
  std::vector<uint32_t> number;  // by value id
  std::vector<const Node*> order;

  explicit Numbering(const Graph& graph) : number(graph.values().size(), Value::kNone) {
    uint32_t next = 0;
    for (const bool inputs : {true, false})
      for (const Node& node : graph.nodes()) {
        if ((node.kind == NodeKind::kInput) != inputs) continue;
        order.push_back(&node);
        for (Value v : node.results) number[v.id] = next++;
      }
  }
  uint32_t of(Value v) const { return v.id < number.size() ? number[v.id] : Value::kNone; }
  /// Operands as numbers, without absent ones at the end.
  std::vector<uint32_t> operands(const Node& node) const {
    std::vector<uint32_t> out;
    for (Value v : node.inputs) out.push_back(of(v));
    while (!out.empty() && out.back() == Value::kNone) out.pop_back();
    return out;
  }
};

/// Numbers are compared by bits, except that every NaN is the same one.
uint64_t bits(double value) { return std::isnan(value) ? 0x7ff8000000000000u : std::bit_cast<uint64_t>(value); }

bool same_numbers(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (bits(a[i]) != bits(b[i])) return false;
  return true;
}

class Hasher {
 public:
  void add(uint64_t word) {
    // The finaliser of splitmix64 (Steele, Lea, Flood 2014) over a running state.
    state_ += word + 0x9e3779b97f4a7c15u;
    state_ = (state_ ^ (state_ >> 30)) * 0xbf58476d1ce4e5b9u;
    state_ = (state_ ^ (state_ >> 27)) * 0x94d049bb133111ebu;
    state_ ^= state_ >> 31;
  }
  void add(std::string_view text) {
    add(text.size());
    uint64_t word = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      word |= static_cast<uint64_t>(static_cast<unsigned char>(text[i])) << (8 * (i % 8));
      if (i % 8 == 7 || i + 1 == text.size()) {
        add(word);
        word = 0;
      }
    }
  }
  void add(const TensorType& type) {
    add(static_cast<uint64_t>(type.dtype));
    add(static_cast<uint64_t>(type.shape.rank()));
    for (int64_t d : type.shape.dims()) add(static_cast<uint64_t>(d));
  }
  void add(const AttrValue& value) {
    add(static_cast<uint64_t>(value.index()));
    std::visit([&](const auto& v) { add_kind(v); }, value);
  }
  uint64_t state() const { return state_; }

 private:
  void add_kind(int64_t v) { add(static_cast<uint64_t>(v)); }
  void add_kind(double v) { add(bits(v == 0 ? 0.0 : v)); }  // attributes compare 0 and -0 as equal
  void add_kind(bool v) { add(uint64_t{v}); }
  void add_kind(const std::string& v) { add(std::string_view(v)); }
  template <typename T>
  void add_kind(const std::vector<T>& items) {
    add(static_cast<uint64_t>(items.size()));
    for (const T& item : items) add_kind(item);
  }
  uint64_t state_ = 0x6573706c6961u;
};

bool counts_label(const Node& node, const StructureOptions& options) {
  return node.kind == NodeKind::kInput || (node.kind == NodeKind::kParam && options.param_names);
}

/// What differs between two nodes, or "".
std::string difference(const Graph& a, const Numbering& in_a, const Node& x, const Graph& b, const Numbering& in_b, const Node& y,
                       const StructureOptions& options) {
  if (x.kind != y.kind || x.op != y.op) return "another op";
  if (in_a.operands(x) != in_b.operands(y)) return "other operands";
  if (!(x.attrs == y.attrs)) return "other attributes";
  if (x.results.size() != y.results.size()) return "another number of results";
  for (size_t i = 0; i < x.results.size(); ++i)
    if (!(a.type(x.results[i]) == b.type(y.results[i]))) return "another type";
  if (counts_label(x, options) && x.label != y.label) return "another name";
  if (x.data != y.data && (!x.data || !y.data || !same_numbers(*x.data, *y.data))) return "other numbers";
  if (!options.paths) return "";
  if (x.path != y.path) return "another block path";
  if (x.frozen != y.frozen || x.recompute != y.recompute || in_a.of(x.grad_of) != in_b.of(y.grad_of)) return "other tags";
  return "";
}

}  // namespace

uint64_t structural_hash(const Graph& graph, const StructureOptions& options) {
  const Numbering numbering(graph);
  Hasher hash;
  for (const Node* node : numbering.order) {
    hash.add(static_cast<uint64_t>(node->kind));
    if (node->op != nullptr) hash.add(*node->op->name);
    for (uint32_t operand : numbering.operands(*node)) hash.add(uint64_t{operand});
    for (const auto& [name, value] : node->attrs.entries()) {
      hash.add(std::string_view(name));
      hash.add(value);
    }
    for (Value v : node->results) hash.add(graph.type(v));
    if (counts_label(*node, options)) hash.add(std::string_view(node->label));
    if (node->data)
      for (double v : *node->data) hash.add(bits(v));
    if (!options.paths) continue;
    hash.add(std::string_view(node->path));
    hash.add(uint64_t{node->frozen} | uint64_t{node->recompute} << 1 | uint64_t{numbering.of(node->grad_of)} << 2);
  }
  for (const Output& output : graph.outputs()) {
    hash.add(std::string_view(output.name));
    hash.add(uint64_t{numbering.of(output.value)});
  }
  return hash.state();
}

std::string structural_difference(const Graph& a, const Graph& b, const StructureOptions& options) {
  const Numbering in_a(a), in_b(b);
  const size_t common = std::min(in_a.order.size(), in_b.order.size());
  for (size_t i = 0; i < common; ++i) {
    const Node& x = *in_a.order[i];
    const Node& y = *in_b.order[i];
    if (const std::string what = difference(a, in_a, x, b, in_b, y, options); !what.empty())
      return "node " + std::to_string(i) + ": " + what + "\n  " + print_node(a, x) + "\n  " + print_node(b, y);
  }
  if (in_a.order.size() != in_b.order.size())
    return std::to_string(in_a.order.size()) + " nodes against " + std::to_string(in_b.order.size()) +
           "; the first without partner: " +
           (in_a.order.size() > common ? print_node(a, *in_a.order[common]) : print_node(b, *in_b.order[common]));
  if (a.outputs().size() != b.outputs().size()) return "another number of outputs";
  for (size_t i = 0; i < a.outputs().size(); ++i) {
    const Output& x = a.outputs()[i];
    const Output& y = b.outputs()[i];
    if (x.name != y.name || in_a.of(x.value) != in_b.of(y.value))
      return "output " + std::to_string(i) + ": \"" + x.name + "\" against \"" + y.name + "\"";
  }
  return "";
}

}  // namespace espalier
