// esp::loss: a loss as a C++ class, written as arithmetic.
//
//   struct NormMse : esp::loss<NormMse> {
//     static constexpr std::string_view id = "com.acme.loss.norm-mse", doc = "Output error over the teacher's power.";
//     double eps = 1e-6;
//     static auto params() { return std::tuple{esp::param{&NormMse::eps, "eps", 1e-12, 1.0, "floor under the power"}}; }
//     void emit(const esp::loss_view& in, esp::loss_terms& out) {
//       auto t = in.teacher_output();
//       out.term(mean(square(in.output() - t)) / (mean(square(t)) + eps));
//     }
//   };
#ifndef ESPALIER_SDK_LOSS_HPP
#define ESPALIER_SDK_LOSS_HPP

#include <initializer_list>
#include <string_view>
#include <vector>

#include "espalier/loss.h"
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/params.hpp"

namespace esp {
inline namespace v0 {

/// One attribute of an op: {"heads", 8}, {"keep_dims", true}, {"axes", {1, 2}}, {"to", "f16"}.
class attr {
 public:
  attr(std::string_view name, int64_t v) : attr(name, int32_t{ESP_ATTR_INT}, nullptr) { raw_.int_value = v; }
  attr(std::string_view name, int v) : attr(name, static_cast<int64_t>(v)) {}
  attr(std::string_view name, bool v) : attr(name, int32_t{ESP_ATTR_BOOL}, nullptr) { raw_.int_value = v ? 1 : 0; }
  attr(std::string_view name, double v) : attr(name, int32_t{ESP_ATTR_FLOAT}, nullptr) { raw_.float_value = v; }
  /// `v` must outlive the attr; a literal does.
  attr(std::string_view name, std::string_view v) : attr(name, int32_t{ESP_ATTR_STRING}, nullptr) { raw_.string_value = str(v); }
  attr(std::string_view name, const char* v) : attr(name, std::string_view(v)) {}
  attr(std::string_view name, std::initializer_list<int64_t> v) : attr(name, std::vector<int64_t>(v)) {}
  attr(std::string_view name, std::vector<double> v) : attr(name, int32_t{ESP_ATTR_FLOATS}, nullptr) { floats_ = std::move(v); }
  attr(std::string_view name, std::vector<int64_t> v) : attr(name, int32_t{ESP_ATTR_INTS}, nullptr) { ints_ = std::move(v); }
  /// Borrows from this attr.
  esp_attr raw() const {
    esp_attr a = raw_;
    a.ints = ints_.data();
    a.floats = floats_.data();
    a.count = a.kind == ESP_ATTR_FLOATS ? floats_.size() : ints_.size();
    return a;
  }

 private:
  attr(std::string_view name, int32_t kind, std::nullptr_t) {
    raw_.name = str(name);
    raw_.kind = kind;
  }
  esp_attr raw_{};
  std::vector<int64_t> ints_;
  std::vector<double> floats_;
};

/// A value of the graph; cheap to copy, valid during the call that gave it.
class value {
 public:
  value() = default;
  value(const esp_graph_build* build, esp_value handle) : build_(build), handle_(handle) {}
  explicit operator bool() const { return handle_ != 0; }
  esp_value handle() const { return handle_; }
  const esp_graph_build* build() const { return build_; }
  esp_tensor_type type() const {
    esp_tensor_type t{};
    check(build_->describe(build_->ctx, handle_, &t), "cannot describe a value");
    return t;
  }

 private:
  const esp_graph_build* build_ = nullptr;
  esp_value handle_ = 0;
};

/// Any op of `espalier ops`: op("maximum", {a, b}), op("reduce_sum", {x}, {{"axes", {1, 2}}}). The first operand is present.
inline value op(std::string_view name, std::initializer_list<value> inputs, const std::vector<attr>& attrs = {}) {
  if (inputs.size() == 0 || !*inputs.begin()) throw invalid("the first operand of '" + std::string(name) + "' is no value");
  const esp_graph_build* build = inputs.begin()->build();
  std::vector<esp_value> handles;
  for (const value& v : inputs) handles.push_back(v.handle());
  std::vector<esp_attr> raw;
  for (const attr& a : attrs) raw.push_back(a.raw());
  esp_value result = 0;
  check(build->op(build->ctx, str(name), handles.data(), handles.size(), raw.data(), raw.size(), &result), name);
  return {build, result};
}
/// An f32 scalar in the graph of `like`.
inline value number(const value& like, double x) {
  esp_value result = 0;
  check(like.build()->constant(like.build()->ctx, x, &result), "cannot make a constant");
  return {like.build(), result};
}

inline value operator+(const value& a, const value& b) { return op("add", {a, b}); }
inline value operator-(const value& a, const value& b) { return op("sub", {a, b}); }
inline value operator*(const value& a, const value& b) { return op("mul", {a, b}); }
inline value operator/(const value& a, const value& b) { return op("div", {a, b}); }
inline value operator-(const value& a) { return op("neg", {a}); }
inline value operator+(const value& a, double b) { return a + number(a, b); }
inline value operator-(const value& a, double b) { return a - number(a, b); }
inline value operator*(const value& a, double b) { return a * number(a, b); }
inline value operator/(const value& a, double b) { return a / number(a, b); }
inline value operator+(double a, const value& b) { return number(b, a) + b; }
inline value operator-(double a, const value& b) { return number(b, a) - b; }
inline value operator*(double a, const value& b) { return number(b, a) * b; }
inline value operator/(double a, const value& b) { return number(b, a) / b; }

inline value square(const value& x) { return op("square", {x}); }
inline value abs(const value& x) { return op("abs", {x}); }
inline value sqrt(const value& x) { return op("sqrt", {x}); }
inline value exp(const value& x) { return op("exp", {x}); }
inline value log(const value& x) { return op("log", {x}); }
inline value sign(const value& x) { return op("sign", {x}); }
inline value maximum(const value& a, const value& b) { return op("maximum", {a, b}); }
inline value minimum(const value& a, const value& b) { return -maximum(-a, -b); }
inline value stop_gradient(const value& x) { return op("stop_gradient", {x}); }
/// Mean and sum over all elements: a scalar.
inline value mean(const value& x) { return op("reduce_mean", {x}); }
inline value sum(const value& x) { return op("reduce_sum", {x}); }
/// Mean over all but the first dimension: [N]; with keep_dims [N,1,…].
inline value mean_per_sample(const value& x, bool keep_dims = false) {
  std::vector<int64_t> axes;
  for (int32_t i = 1; i < x.type().rank; ++i) axes.push_back(i);
  if (axes.empty()) return x;  // no axes would mean all
  return op("reduce_mean", {x}, {{"axes", std::move(axes)}, {"keep_dims", keep_dims}});
}
/// Mean squared difference: a scalar.
inline value mse(const value& a, const value& b) { return mean(square(a - b)); }

/// A feature of the teacher beside the student's.
struct feature_pair {
  std::string_view teacher_path, student_path;
  value teacher, student;
};

/// What a loss sees: see esp_loss_view.
class loss_view {
 public:
  explicit loss_view(const esp_loss_view* raw) : raw_(raw) {
    for (uint64_t i = 0; i < raw->pair_count; ++i) {
      const esp_feature_pair& p = raw->pairs[i];
      pairs_.push_back({view(p.teacher_path), view(p.student_path), of(p.teacher), of(p.student)});
    }
  }
  value output() const { return of(raw_->output); }
  /// Throws when there is no teacher.
  value teacher_output() const {
    if (raw_->teacher_output == 0) throw invalid("this loss compares with a teacher, and the recipe has none");
    return of(raw_->teacher_output);
  }
  value target() const { return of(raw_->target); }
  value timestep() const { return of(raw_->timestep); }
  value alpha_bar() const { return of(raw_->alpha_bar); }
  bool predicts_v() const { return raw_->prediction_type == ESP_PREDICT_V; }
  const std::vector<feature_pair>& pairs() const { return pairs_; }
  esp::services services() const { return esp::services(raw_->services); }

  /// A trainable f32 tensor of this loss's own: see esp_graph_build.param.
  value param(std::string_view name, std::initializer_list<int64_t> shape, esp_init init) const {
    if (!ESP_HAS(raw_->build, param)) throw unsupported("this host has no parameters for losses");
    esp_tensor_type type{};
    type.dtype = ESP_F32;
    for (const int64_t extent : shape) {
      if (type.rank == ESP_MAX_RANK) throw invalid("a parameter has at most 8 dimensions");
      type.dims[type.rank++] = extent;
    }
    esp_value made = 0;
    check(raw_->build->param(raw_->build->ctx, str(name), &type, init, &made), "the host refused a parameter");
    return of(made);
  }

  /// `body`(values inside) → value, as one named region that a backend may run by itself: see esp_graph_build.begin_composite.
  /// The same without a host that knows composites.
  template <typename Body>
  value composite(std::string_view name, const std::vector<value>& inputs, Body&& body) const {
    if (!ESP_HAS(raw_->build, end_composite)) return body(inputs);
    std::vector<esp_value> outside, inside(inputs.size());
    for (const value& v : inputs) outside.push_back(v.handle());
    check(raw_->build->begin_composite(raw_->build->ctx, str(name), outside.data(), outside.size(), inside.data()),
          "the host refused a composite");
    std::vector<value> values;
    for (const esp_value v : inside) values.push_back(of(v));
    const value result = body(values);
    esp_value made = 0;
    check(raw_->build->end_composite(raw_->build->ctx, result.handle(), &made), "the host refused a composite");
    return of(made);
  }

 private:
  value of(esp_value handle) const { return {raw_->build, handle}; }
  const esp_loss_view* raw_;
  std::vector<feature_pair> pairs_;
};

/// Where a loss puts its terms.
class loss_terms {
 public:
  explicit loss_terms(esp_loss_sink sink) : sink_(sink) {}
  void term(const value& scalar) { term("", scalar); }
  void term(std::string_view label, const value& scalar) {
    check(sink_.term(sink_.ctx, str(label), scalar.handle()), "the host refused a term");
  }
  /// Logged beside the terms, and no part of the loss.
  void log(std::string_view label, const value& scalar) {
    check(sink_.log(sink_.ctx, str(label), scalar.handle()), "the host refused a logged value");
  }

 private:
  esp_loss_sink sink_;
};

inline esp_init zeros() { return {ESP_INIT_ZEROS, 0, 0}; }
inline esp_init constant(double everywhere) { return {ESP_INIT_CONSTANT, 0, everywhere}; }
inline esp_init normal(double deviation) { return {ESP_INIT_NORMAL, 0, deviation}; }
inline esp_init identity(double scale = 1) { return {ESP_INIT_IDENTITY, 0, scale}; }

/// Base of a loss. Self has `id`, `doc`, `void emit(const loss_view&, loss_terms&)`; optionally `params()`,
/// `static constexpr std::string_view name`, the key of its terms in the metrics, and `static constexpr uint32_t flags`,
/// ESP_LOSS_*.
template <typename Self>
class loss {
 public:
  static constexpr std::string_view kind = "esp.loss/1";
  static const void* vtable() {
    static const esp_loss_vtable table = [] {
      esp_loss_vtable t{};
      t.struct_size = sizeof(t);
      if constexpr (requires { Self::name; }) t.default_name = str(Self::name);
      if constexpr (requires { Self::flags; }) t.flags = Self::flags;
      t.create = &detail::instance<Self>::create;
      t.destroy = &detail::instance<Self>::destroy;
      t.emit = &emit_terms;
      return t;
    }();
    return &table;
  }

 private:
  static esp_status emit_terms(void* self, const esp_loss_view* raw, esp_loss_sink sink) noexcept {
    return guard([&] {
      loss_terms terms(sink);
      static_cast<Self*>(self)->emit(loss_view(raw), terms);
    });
  }
};

}  // namespace v0
}  // namespace esp
#endif
