#pragma once
// What an op *is* to the rest of the system: one value of type OpDef, written in one file of core/ops.
//
// Every field is Required: leaving one out of the designated initialiser does not compile. `ir` knows this type and
// no op; a node points to its OpDef, the parser is handed the registry.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/ir/attr.h"
#include "core/ir/shape.h"

namespace espalier {

/// A field that must be written: its default constructor does not exist.
template <typename T>
class Required {
 public:
  Required() = delete;
  template <typename U>
  requires std::is_constructible_v<T, U&&>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): no T is made from a Required<T>, so copies are not hidden
  Required(U&& value) : value_(std::forward<U>(value)) {}  // implicit: reads as a plain field
  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }

 private:
  T value_;
};

struct OpDef;
class Builder;

/// An index into a graph's values: cheap to copy, meaningless without its graph. Default: absent optional operand.
struct Value {
  static constexpr uint32_t kNone = 0xffffffffu;
  uint32_t id = kNone;
  bool present() const { return id != kNone; }
  bool operator==(const Value&) const = default;
};

/// One operand of an op, for docs and arity checks. Optional operands are always last.
struct OperandSpec {
  std::string name;
  std::string shape;  // in the shape letters of docs/style.md, e.g. "N,H,W,C"
  bool optional = false;
  bool variadic = false;  // the last operand, one or more values (concat)
};

/// The types and attributes of one use of an op. An absent optional input has dtype kNone.
/// `results` is empty while types are being inferred.
struct OpCall {
  const OpDef* op = nullptr;
  std::vector<TensorType> inputs;
  Attrs attrs;
  std::vector<TensorType> results;
};

/// Work of one call, for planning and rooflines. A multiply-add is 2 flops; elementwise and norm work counts 0 flops
/// towards the model's published figure unless it is a matrix product, convolution or attention (flop counters of the
/// field count these alone), so `flops` holds exactly those and `other_flops` the rest.
struct Cost {
  double flops = 0;
  double other_flops = 0;
  double bytes_read = 0;
  double bytes_written = 0;
};

/// Inputs of a reference kernel: every element type widened to double, row-major.
struct RefTensor {
  TensorType type;
  std::span<const double> data;  // empty when the operand is absent
};

/// Result of a reference kernel. With `only` set, just those flat indices are wanted and data[k] belongs to only[k];
/// so a naive kernel can be sampled at production shapes.
struct RefResult {
  TensorType type;
  std::span<double> data;
  std::span<const int64_t> only;
  /// Calls f(flat_index) for every wanted element, in order, and stores what it returns.
  template <typename F>
  void fill(F&& f) {
    if (only.empty())
      for (int64_t i = 0; i < static_cast<int64_t>(data.size()); ++i) data[static_cast<size_t>(i)] = f(i);
    else
      for (size_t k = 0; k < only.size(); ++k) data[k] = f(only[k]);
  }
};

/// Values that a test feeds an input with.
enum class Fill { kNormal, kPositive, kSmall, kTimesteps, kUnit };  // N(0,1) · [0.5,2] · 0.1·N(0,1) · integers 0…999 · [0,1]

/// One test case of an op: shapes, attributes and a tolerance. Feeds the op contract test, the conformance test of
/// every backend, and the docs.
struct Sample {
  std::vector<TensorType> inputs;
  Attrs attrs;
  std::vector<Fill> fills = {};  // shorter than inputs: the rest is kNormal
  double tolerance = 1e-5;       // max|a-b| <= tolerance * max|b| + tolerance/10, f32 against double
};

/// The op cannot be written in other ops.
struct Primitive {};
/// Emits the op's meaning as other ops; a backend may run the composite as one kernel, the others inline this.
using DecomposeFn = std::function<Value(Builder&, const OpCall&, std::span<const Value> inputs)>;
using Decomposition = std::variant<Primitive, DecomposeFn>;

/// One use of an op as its gradient rule sees it, in the graph that the gradient is appended to.
struct Primal {
  OpCall call;                // types and attributes; every optional operand has a place
  std::vector<Value> inputs;  // absent where an optional operand is
  Value result;
};
/// Emits, for each operand, the cotangent that `d_result` sends into it: of the operand's type, absent where none flows.
/// Rules emit public ops, so that a gradient is a graph like any other; what nothing asks for is left to dead-code removal.
using VjpFn = std::vector<Value> (*)(Builder&, const Primal&, Value d_result);
/// The gradient of a composite is that of its parts, which are emitted anew where the gradient is.
struct ThroughParts {};
/// No gradient passes; `reason` follows "has no gradient: " in messages and docs.
struct NonDifferentiable {
  std::string_view reason;
};
/// The op is there to let no cotangent through: what is before it gets none, and that is no error.
struct StopsGradient {};
using Vjp = std::variant<VjpFn, ThroughParts, StopsGradient, NonDifferentiable>;

/// Result `result` of an in-place op lies in the memory of operand `operand`, which is an input of the graph: state that the
/// caller keeps. After the op the operand's old value is gone; the verifier refuses a graph that reads it later.
struct Alias {
  size_t result = 0, operand = 0;
};

using InferFn = std::vector<TensorType> (*)(const OpCall&);  // throws VerifyError "[op] what is wrong"
using CostFn = Cost (*)(const OpCall&);
using ReferenceFn = void (*)(const OpCall&, std::span<const RefTensor> in, std::span<RefResult> out);
using SamplesFn = std::vector<Sample> (*)();

/// Everything that is known of one op. Derived from it without further code: parser and printer of attributes, the
/// verifier, `espalier ops`, the contract test, the conformance test of every backend, FLOP tables.
struct OpDef {
  Required<std::string_view> name;
  Required<std::string_view> summary;  // one sentence
  Required<std::string_view> formula;  // with the function of PyTorch or the module of diffusers that it matches
  Required<std::vector<OperandSpec>> inputs;
  Required<std::vector<AttrSpec>> attrs;
  Required<InferFn> infer;
  Required<Decomposition> decompose;
  Required<Vjp> vjp;
  Required<CostFn> cost;
  Required<ReferenceFn> reference;
  Required<SamplesFn> samples;
  std::vector<Alias> aliases = {};  // of an in-place op; most ops have none
};

/// The ops that text may name, for the parser: `OpLookup(ops::all())`, or `ops::registry()`. Views storage that lives
/// as long as the program.
class OpLookup {
 public:
  explicit OpLookup(std::span<const OpDef* const> all) : all_(all) {}
  /// The op called `name`, or nullptr.
  const OpDef* operator()(std::string_view name) const {
    for (const OpDef* def : all_)
      if (*def->name == name) return def;
    return nullptr;
  }
  std::span<const OpDef* const> all() const { return all_; }

 private:
  std::span<const OpDef* const> all_;
};

}  // namespace espalier
