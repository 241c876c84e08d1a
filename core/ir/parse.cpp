// A statement is read whole before it is judged: its types are then known, and a faulty statement still gives the
// following ones values of the declared types, so that one fault is not reported many times over.

#include "core/ir/parse.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/builder.h"
#include "core/ir/reader.h"

namespace espalier {
namespace {

constexpr size_t kMaxFaults = 50;

class Parser : private Reader {
 public:
  /// `inputs`: null where the text has types.
  Parser(std::string_view text, const OpLookup& ops, std::string_view file,
         const std::map<std::string, TensorType>* inputs = nullptr)
      : Reader(text), ops_(ops), file_(file), inputs_(inputs) {}

  std::vector<Graph> run() {
    std::vector<Graph> graphs;
    while (peek().kind != TokenKind::kEnd) {
      try {
        graphs.push_back(graph());
      } catch (const Fault& fault) {
        record(fault);
        leave_line();
        skip_to_word("graph");
      }
    }
    faults_.throw_if_any();
    return graphs;
  }

 private:
  void record(const Fault& fault) {
    if (faults_.messages().size() == kMaxFaults) faults_.throw_if_any();
    faults_.add(std::string(file_) + ":" + std::to_string(fault.at.line) + ":" + std::to_string(fault.at.column) + ": " +
                fault.what);
  }
  void record(const Token& at, const std::string& what) { record(Fault{at, what}); }

  struct Known {
    Value value;  // absent when its statement could not be read: uses of it are not judged
    uint32_t line = 0;
  };

  void define(const Token& token, Value value) {
    const auto [at, is_new] = known_.emplace(token.text, Known{value, token.line});
    if (!is_new)
      record(token, "'%" + token.text + "' is defined a second time; the first is in line " + std::to_string(at->second.line));
    if (value.present() && is_new) graph_->set_value_name(value, token.text);
  }

  /// Nullopt after recording a fault; an absent value when the definition itself was faulty.
  std::optional<Value> resolve(const Token& token) {
    if (auto at = known_.find(token.text); at != known_.end()) return at->second.value;
    std::vector<std::string> names;
    for (const auto& [name, entry] : known_) names.push_back("%" + name);
    std::sort(names.begin(), names.end());
    record(token, "unknown value '%" + token.text + "'" + did_you_mean("%" + token.text, names));
    return std::nullopt;
  }

  void claim_label(const Token& at, NodeKind kind, const std::string& label) {
    const std::string what = kind == NodeKind::kInput ? "input" : "parameter";
    if (label.empty()) record(at, "a " + what + " needs a name");
    if (!labels_.emplace(what + label, at.line).second)
      record(at, what + " '" + printable(label) + "' stands here a second time; the first is in line " +
                     std::to_string(labels_[what + label]));
  }

  size_t append(NodeKind kind, const Statement& s) {
    Node node;
    node.kind = kind;
    node.label = s.label.text;
    if (kind == NodeKind::kConstant) node.data = std::make_shared<const std::vector<double>>(s.numbers);
    return graph_->append(std::move(node), s.types);
  }

  /// Checks names, attributes and operands of an op one by one, each with its own place. Nullopt: faults recorded, or
  /// operands whose own statement was faulty.
  std::optional<size_t> append_op(const Statement& s) {
    const OpDef* def = ops_(s.op.text);
    if (def == nullptr) {
      std::vector<std::string> names{"param", "constant"};
      for (const OpDef* known : ops_.all()) names.emplace_back(*known->name);
      record(s.op, "unknown op " + describe(s.op) + did_you_mean(s.op.text, names));
    }
    bool sound = def != nullptr;
    std::vector<Value> inputs;
    for (const Token& token : s.operands) {
      if (token.kind == TokenKind::kWord) {
        inputs.emplace_back();
        continue;
      }
      const std::optional<Value> value = resolve(token);
      sound = sound && value && value->present();
      inputs.push_back(value.value_or(Value{}));
    }
    Attrs attrs;
    for (const auto& [name, value] : s.attrs) {
      if (def == nullptr) break;
      if (attrs.find(name.text) != nullptr) {
        record(name, "attribute '" + name.text + "' is given twice");
        sound = false;
      }
      try {
        for (const AttrSpec& spec : *def->attrs)
          if (spec.name == name.text) attrs.set(name.text, attr_of_kind(*def, spec, value));
        if (attrs.find(name.text) == nullptr) {
          std::vector<std::string> names;
          for (const AttrSpec& spec : *def->attrs) names.push_back(spec.name);
          throw VerifyError("[" + s.op.text + "] unknown attribute '" + name.text + "'" + did_you_mean(name.text, names));
        }
      } catch (const VerifyError& error) {
        record(name, error.what());
        sound = false;
      }
    }
    if (!sound) return std::nullopt;
    try {
      const std::vector<Value> results = Builder(*graph_).ops(*def, std::move(inputs), attrs);
      const size_t node = graph_->info(results.front()).node;
      for (size_t i = 0; i < std::min(s.types.size(), results.size()); ++i)
        if (!(graph_->type(results[i]) == s.types[i]))
          record(s.type_places[i], "[" + s.op.text + "] '%" + s.results[std::min(i, s.results.size() - 1)].text +
                                       "' is declared " + to_string(s.types[i]) + " but its operands make " +
                                       to_string(graph_->type(results[i])));
      if (results.size() == s.results.size()) return node;
      record(s.op, "[" + s.op.text + "] has " + std::to_string(results.size()) + " results, " + std::to_string(s.results.size()) +
                       " are named");
    } catch (const VerifyError& error) {
      record(s.op, error.what());
    }
    return std::nullopt;
  }

  /// Of a text without types. Nullopt after recording a fault.
  std::optional<size_t> append_untyped(Statement& s) {
    if (s.op.text == "param") {
      record(s.op, "there are no parameters of a model here");
      return std::nullopt;
    }
    if (s.op.text != "constant") return append_op(s);
    if (s.numbers.empty()) {
      record(s.op, "a constant has at least one number");
      return std::nullopt;
    }
    s.types = {f32(s.numbers.size() == 1 ? Shape({}) : Shape({static_cast<int64_t>(s.numbers.size())}))};
    return append(NodeKind::kConstant, s);
  }

  void judge(Statement s) {
    std::optional<size_t> index;
    if (inputs_ != nullptr) {
      index = append_untyped(s);
    } else if (s.types.size() != s.results.size()) {
      record(s.type_places.front(),
             std::to_string(s.types.size()) + " types for " + std::to_string(s.results.size()) + " results");
    } else if (s.op.text == "param" || s.op.text == "constant") {
      const NodeKind kind = s.op.text == "param" ? NodeKind::kParam : NodeKind::kConstant;
      if (s.types.size() != 1) record(s.op, "a " + s.op.text + " has one result");
      if (kind == NodeKind::kParam) claim_label(s.label, kind, s.label.text);
      if (kind == NodeKind::kConstant && static_cast<int64_t>(s.numbers.size()) != s.types[0].shape.elements())
        record(s.op, "the constant has " + std::to_string(s.numbers.size()) + " numbers, its type " + to_string(s.types[0]) +
                         " holds " + std::to_string(s.types[0].shape.elements()));
      index = append(kind, s);
    } else {
      index = append_op(s);
    }
    if (index) {
      Node& node = graph_->node(*index);
      node.path = s.path;
      node.frozen = s.frozen;
      node.recompute = s.recompute;
      if (s.grad_of) node.grad_of = resolve(*s.grad_of).value_or(Value{});
    }
    // After a fault the graph is only read on, never returned: an input stands in for each result.
    for (size_t i = 0; i < s.results.size(); ++i) {
      Value value;
      if (index) value = graph_->node(*index).results[i];
      if (!index && i < s.types.size()) value = graph_->node(graph_->append(Node{NodeKind::kInput}, {s.types[i]})).results[0];
      define(s.results[i], value);
    }
  }

  // The whole.

  void input() {
    Statement s;
    const Token name = expect(TokenKind::kValue, "an input such as '%x: f32[2,4]'");
    s.label = name;
    if (peek().kind == TokenKind::kString) s.label = take();
    if (inputs_ != nullptr) {
      if (at_punct(":")) throw Fault{peek(), "no types are written here: they follow from the model"};
      const auto known = inputs_->find(s.label.text);
      if (known == inputs_->end()) {
        std::vector<std::string> names;
        for (const auto& [input, type] : *inputs_) names.push_back(input);
        record(s.label, "there is no input '" + printable(s.label.text) + "'" + did_you_mean(s.label.text, names) +
                            "; there are " + join(names, ", "));
        return define(name, Value{});
      }
      s.types.push_back(known->second);
    } else {
      expect(":");
      s.types.push_back(type());
    }
    tags(s);
    claim_label(s.label, NodeKind::kInput, s.label.text);
    const size_t index = append(NodeKind::kInput, s);
    graph_->node(index).path = s.path;
    graph_->node(index).frozen = s.frozen;
    graph_->node(index).recompute = s.recompute;
    define(name, graph_->node(index).results[0]);
  }

  struct Declared {
    std::string name;
    TensorType type;
  };

  std::vector<Declared> outputs() {
    std::vector<Declared> declared;
    if (!accept("(")) return {{"", type()}};
    while (!at_punct(")")) {
      if (!declared.empty()) expect(",");
      const Token name = peek();
      if (name.kind != TokenKind::kWord && name.kind != TokenKind::kString) unexpected("an output's name");
      take();
      for (const Declared& other : declared)
        if (other.name == name.text) record(name, "output " + describe(name) + " stands here a second time");
      if (name.text.empty()) record(name, "an output of several needs a name");
      expect(":");
      declared.push_back({name.text, type()});
    }
    expect(")");
    return declared;
  }

  void returned(const std::vector<Declared>& declared) {
    const Token word = take();
    std::vector<Token> names;
    if (peek().kind == TokenKind::kValue) {
      do names.push_back(expect(TokenKind::kValue, "a value"));
      while (accept(","));
    }
    expect_line_end();
    if (inputs_ != nullptr) {
      for (const Token& name : names)
        if (const std::optional<Value> value = resolve(name); value && value->present()) graph_->add_output(name.text, *value);
      return;
    }
    if (names.size() != declared.size())
      throw Fault{
          word, "the graph declares " + std::to_string(declared.size()) + " outputs and returns " + std::to_string(names.size())};
    for (size_t i = 0; i < names.size(); ++i) {
      const std::optional<Value> value = resolve(names[i]);
      if (!value || !value->present()) continue;
      if (!(graph_->type(*value) == declared[i].type))
        record(names[i], "'%" + names[i].text + "' is " + to_string(graph_->type(*value)) + ", the graph declares " +
                             to_string(declared[i].type));
      graph_->add_output(declared[i].name, *value);
    }
  }

  Graph graph() {
    Graph graph;
    graph_ = &graph;
    known_.clear();
    labels_.clear();
    if (!peek().is(TokenKind::kWord, "graph")) unexpected("'graph'");
    take();
    graph.name = expect(TokenKind::kAt, "the graph's name such as '@main'").text;
    expect("(");
    while (!at_punct(")")) {
      if (!known_.empty()) expect(",");
      input();
    }
    expect(")");
    std::vector<Declared> declared;
    if (inputs_ == nullptr) {
      expect("->");
      declared = outputs();
    }
    expect("{");
    for (bool has_returned = false;;) {
      leave_line();
      const Token first = peek();
      if (accept("}")) {
        if (!has_returned) record(first, "the graph has no 'return'");
        return graph;
      }
      if (first.kind == TokenKind::kEnd || first.is(TokenKind::kWord, "graph")) {
        Token behind = last();
        behind.column = behind.end_column;
        throw Fault{behind, "'}' is missing at the end of '@" + graph.name + "'"};
      }
      enter_line();
      std::vector<Token> names;
      try {
        if (has_returned) throw Fault{first, "nothing may follow 'return' but '}'"};
        if (first.is(TokenKind::kWord, "return")) {
          has_returned = true;
          returned(declared);
        } else {
          names = results();
          judge(statement(names, inputs_ == nullptr));
        }
      } catch (const Fault& fault) {
        record(fault);
        for (const Token& name : names) define(name, Value{});
        skip_line(first.line);
      }
      leave_line();
    }
  }

  const OpLookup& ops_;
  std::string_view file_;
  const std::map<std::string, TensorType>* inputs_;
  ErrorList faults_;
  Graph* graph_ = nullptr;
  std::unordered_map<std::string, Known> known_;
  std::unordered_map<std::string, uint32_t> labels_;
};

}  // namespace

std::vector<Graph> parse_all(std::string_view text, const OpLookup& ops, std::string_view file) {
  return Parser(text, ops, file).run();
}

namespace {

Graph only(std::vector<Graph> graphs, std::string_view file) {
  if (graphs.size() == 1) return std::move(graphs.front());
  throw UserError(
      std::string(file) + ":1:1: " +
      (graphs.empty() ? std::string("no graph here") : std::to_string(graphs.size()) + " graphs, expected exactly one"));
}

}  // namespace

Graph parse(std::string_view text, const OpLookup& ops, std::string_view file) { return only(parse_all(text, ops, file), file); }

Graph parse_untyped(std::string_view text, const OpLookup& ops, const std::map<std::string, TensorType>& inputs,
                    std::string_view file) {
  return only(Parser(text, ops, file, &inputs).run(), file);
}

}  // namespace espalier
