// Numbers go through std::to_chars, which knows no locale and gives the shortest text that reads back exactly.

#include "core/ir/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/ir/walk.h"

namespace espalier {
namespace {

template <typename T, typename F>
std::string listed(const std::vector<T>& items, F&& text) {
  std::string out;
  for (const T& item : items) {
    if (!out.empty()) out += ", ";
    out += text(item);
  }
  return out;
}

struct AttrPrinter {
  std::string operator()(int64_t v) const { return std::to_string(v); }
  std::string operator()(double v) const { return print_number(v); }
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(const std::string& v) const { return print_string(v); }
  std::string operator()(const std::vector<int64_t>& v) const { return bracketed(v); }
  std::string operator()(const std::vector<double>& v) const { return bracketed(v); }
  template <typename T>
  std::string bracketed(const std::vector<T>& items) const {
    std::string out = "[";
    for (size_t i = 0; i < items.size(); ++i) out += (i > 0 ? "," : "") + (*this)(items[i]);
    return out + "]";
  }
};

std::string value_text(const Graph& graph, Value v) {
  if (!v.present()) return "none";
  return v.id < graph.values().size() ? "%" + graph.info(v).name : std::string("%<undefined>");
}

std::string type_text(const Graph& graph, Value v) {
  return v.id < graph.values().size() ? to_string(graph.type(v)) : std::string("<undefined>");
}

std::string word_or_string(std::string_view text) { return is_plain_word(text) ? std::string(text) : print_string(text); }

std::string tags(const Graph& graph, const Node& node) {
  std::string out;
  if (!node.path.empty()) out += " @" + word_or_string(node.path);
  if (node.frozen) out += " !frozen";
  if (node.grad_of.present()) out += " !grad=" + value_text(graph, node.grad_of);
  if (node.recompute) out += " !recompute";
  return out;
}

std::string input_text(const Graph& graph, const Node& node) {
  std::string out;
  for (Value v : node.results) {
    out += value_text(graph, v);
    if (graph.info(v).name != node.label) out += " " + print_string(node.label);
    out += ": " + type_text(graph, v);
  }
  return out + tags(graph, node);
}

std::string body_text(const Graph& graph, const Node& node) {
  if (node.kind == NodeKind::kParam) return "param " + print_string(node.label);
  if (node.kind == NodeKind::kConstant)
    return "constant [" + (node.data ? listed(*node.data, print_number) : std::string("<no data>")) + "]";
  if (node.op == nullptr) return "<no op>";
  std::vector<Value> inputs = node.inputs;
  while (!inputs.empty() && !inputs.back().present()) inputs.pop_back();
  std::string out(*node.op->name);
  if (!inputs.empty()) out += " " + listed(inputs, [&](Value v) { return value_text(graph, v); });
  const std::string attrs = print_attrs(*node.op, node.attrs);
  return attrs.empty() ? out : out + " " + attrs;
}

std::string header(const Graph& graph) {
  std::string inputs;
  for (const Node& node : graph.nodes())
    if (node.kind == NodeKind::kInput) inputs += (inputs.empty() ? "" : ", ") + input_text(graph, node);
  std::string out = "graph @" + word_or_string(graph.name) + "(" + inputs + ") -> ";
  const std::vector<Output>& outputs = graph.outputs();
  if (outputs.size() == 1 && outputs[0].name.empty()) return out + type_text(graph, outputs[0].value) + " {\n";
  return out + "(" +
         listed(outputs,
                [&](const Output& output) {
                  return (is_identifier(output.name) ? output.name : print_string(output.name)) + ": " +
                         type_text(graph, output.value);
                }) +
         ") {\n";
}

/// One line for the nodes [first, last), all of the block `block`: how many, and what the rest of the graph reads.
std::string folded(const Graph& graph, size_t first, size_t last, const std::string& block, const std::vector<size_t>& last_use) {
  size_t ops = 0, params = 0;
  std::vector<Value> live;
  for (size_t i = first; i < last; ++i) {
    const Node& node = graph.node(i);
    (node.kind == NodeKind::kParam ? params : ops) += 1;
    if (node.kind == NodeKind::kParam) continue;
    for (Value v : node.results)
      if (last_use[v.id] >= last) live.push_back(v);
  }
  std::string out = "  // @" + block + ": " + std::to_string(ops) + " nodes, " + std::to_string(params) + " parameters";
  if (!live.empty()) out += " -> " + listed(live, [&](Value v) { return value_text(graph, v) + ": " + type_text(graph, v); });
  return out + "\n";
}

}  // namespace

std::string print_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end.ptr};
}

std::string print_string(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

bool is_plain_word(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_word_char); }

bool is_identifier(std::string_view text) {
  return is_plain_word(text) && text.find_first_of(".-") == std::string_view::npos && (text[0] < '0' || text[0] > '9');
}

std::string print_attrs(const OpDef& def, const Attrs& attrs) {
  std::string out;
  for (const auto& [name, value] : attrs.entries()) {
    bool is_default = false;
    for (const AttrSpec& spec : *def.attrs)
      if (spec.name == name) is_default = !spec.required && spec.fallback == value;
    if (is_default) continue;
    out += (out.empty() ? "{" : ", ") + name + "=" + std::visit(AttrPrinter{}, value);
  }
  return out.empty() ? out : out + "}";
}

std::string print_node(const Graph& graph, const Node& node) {
  if (node.kind == NodeKind::kInput) return input_text(graph, node);
  return listed(node.results, [&](Value v) { return value_text(graph, v); }) + " = " + body_text(graph, node) + " : " +
         listed(node.results, [&](Value v) { return type_text(graph, v); }) + tags(graph, node);
}

std::string print(const Graph& graph, const PrintOptions& options) {
  std::string out = header(graph);
  const std::vector<size_t> last_use = options.fold_scopes > 0 ? last_uses(graph) : std::vector<size_t>{};
  const size_t count = graph.nodes().size();
  for (size_t i = 0; i < count; ++i) {
    const Node& node = graph.node(i);
    if (node.kind == NodeKind::kInput) continue;
    if (options.fold_scopes > 0 && path_depth(node.path) > 0) {
      const std::string block(path_prefix(node.path, options.fold_scopes));
      size_t last = i + 1;
      while (last < count && path_prefix(graph.node(last).path, options.fold_scopes) == block) ++last;
      out += folded(graph, i, last, block, last_use);
      i = last - 1;
      continue;
    }
    out += "  " + print_node(graph, node) + "\n";
  }
  out += "  return";
  if (!graph.outputs().empty()) out += " " + listed(graph.outputs(), [&](const Output& o) { return value_text(graph, o.value); });
  return out + "\n}\n";
}

}  // namespace espalier
