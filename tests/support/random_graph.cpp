#include "tests/support/random_graph.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/ir/builder.h"
#include "core/ops/activation.h"
#include "core/ops/attention.h"
#include "core/ops/cast.h"
#include "core/ops/conv2d.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/gate.h"
#include "core/ops/geglu.h"
#include "core/ops/group_norm.h"
#include "core/ops/layer_norm.h"
#include "core/ops/linear.h"
#include "core/ops/matmul.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/ops/timestep_embedding.h"
#include "core/ops/upsample_nearest.h"

namespace espalier::testing {
namespace {

constexpr int64_t kMaxElements = 600;

class Generator {
 public:
  explicit Generator(uint64_t seed) : seed_(seed), b_(graph_) {}

  Graph run(int steps) {
    graph_.name = "random-" + std::to_string(seed_);
    const int64_t n = 1 + below(2);
    values_.push_back(b_.input("image", f64({n, 2 + below(3), 2 + below(3), 4})));
    values_.push_back(b_.input("tokens", f64({n, 3, 8})));
    time_ = b_.input("timestep", f64({n}));
    gates_ = b_.input("gates", f32({4}));
    for (int i = 0; i < steps; ++i) {
      b_.set_path(chance(3) ? "" : "down_blocks." + std::to_string(below(3)) + ".resnets." + std::to_string(below(2)));
      b_.frozen = chance(10);
      const size_t before = graph_.nodes().size();
      step();
      decorate(before);
    }
    const int64_t outputs = 1 + below(4);
    for (int64_t i = 0; i < outputs; ++i)
      b_.output(outputs == 1 && chance(2) ? "" : i == 0 ? "sample" : "tap." + std::to_string(i), i == 0 ? values_.back() : any());
    return std::move(graph_);
  }

 private:
  static TensorType f64(Shape shape) { return {DType::kF64, std::move(shape)}; }
  int64_t below(int64_t n) { return static_cast<int64_t>(rng::bits(seed_, 77, counter_++) % static_cast<uint64_t>(n)); }
  bool chance(int64_t one_in) { return below(one_in) == 0; }
  Value any() { return values_[static_cast<size_t>(below(static_cast<int64_t>(values_.size())))]; }
  /// Recent values more often, so that chains grow.
  Value recent() {
    const auto count = static_cast<int64_t>(values_.size());
    return values_[static_cast<size_t>(std::max<int64_t>(0, count - 1 - below(std::min<int64_t>(count, 4))))];
  }
  /// A value of rank `rank` (at least, when negative): a recent one, else one reshaped to fit.
  Value of_rank(int rank) {
    for (int tries = 0; tries < 6; ++tries) {
      const Value v = tries < 3 ? recent() : any();
      const int has = b_.shape(v).rank();
      if (rank < 0 ? has >= -rank : has == rank) return v;
    }
    const Value v = recent();
    std::vector<int64_t> dims(static_cast<size_t>(std::abs(rank)), 1);
    dims.back() = b_.shape(v).elements();
    if (dims.size() > 1 && dims.back() % 2 == 0) dims.back() /= 2, dims[dims.size() - 2] = 2;
    return ops::reshape(b_, v, Shape(dims));
  }
  Value param(Shape shape) { return b_.param("p." + std::to_string(params_++), f64(std::move(shape))); }
  Value number(double value) { return b_.constant(f64({}), {value}); }
  Value filled(const Shape& shape, double value) {
    return b_.constant(f64(shape), std::vector<double>(static_cast<size_t>(shape.elements()), value));
  }
  void push(Value v) {
    if (b_.shape(v).elements() <= kMaxElements && b_.type(v).dtype == DType::kF64) values_.push_back(v);
  }
  void push_bounded(Value v) { push(chance(3) ? v : ops::tanh(b_, v)); }

  void step() {
    using Action = void (Generator::*)();
    static constexpr std::array<Action, 16> kActions{
        &Generator::unary,    &Generator::binary, &Generator::neutral, &Generator::reshaped,
        &Generator::permuted, &Generator::cut,    &Generator::joined,  &Generator::products,
        &Generator::gated,    &Generator::norms,  &Generator::softly,  &Generator::reduced,
        &Generator::picture,  &Generator::halves, &Generator::again,   &Generator::constants};
    (this->*kActions[static_cast<size_t>(below(kActions.size()))])();
  }

  void unary() {
    const Value x = recent();
    const Value away_from_zero = ops::add(b_, ops::abs(b_, x), number(0.5));
    switch (below(13)) {
      case 0:
        return push(ops::abs(b_, x));
      case 1:
        return push(ops::cos(b_, x));
      case 2:
        return push(ops::erf(b_, x));
      case 3:
        return push(ops::neg(b_, chance(2) ? ops::neg(b_, x) : x));
      case 4:
        return push(ops::sin(b_, x));
      case 5:
        return push(ops::tanh(b_, x));
      case 6:
        return push(ops::sigmoid(b_, x));
      case 7:
        return push(chance(2) ? ops::silu(b_, x) : ops::gelu(b_, x));
      case 8:
        return push(ops::tanh(b_, ops::square(b_, x)));
      case 9:
        return push(ops::sqrt(b_, away_from_zero));
      case 10:
        return push(ops::rsqrt(b_, away_from_zero));
      case 11:
        return push(ops::log(b_, away_from_zero));
      default:
        return push(ops::exp(b_, ops::tanh(b_, x)));
    }
  }

  void binary() {
    const Value x = recent();
    Value y = any();
    if (!(b_.shape(x) == b_.shape(y)))
      y = chance(2) ? number(1.25) : param(Shape({b_.shape(x).rank() > 0 ? b_.shape(x).back() : 1}));
    switch (below(5)) {
      case 0:
        return push_bounded(ops::add(b_, x, y));
      case 1:
        return push_bounded(ops::sub(b_, y, x));
      case 2:
        return push(ops::tanh(b_, ops::mul(b_, x, y)));
      case 3:
        return push(ops::maximum(b_, x, y));
      default:
        return push(ops::div(b_, x, ops::add(b_, ops::square(b_, y), number(1))));
    }
  }

  void neutral() {
    const Value x = recent();
    const double value = chance(4) ? 0.5 : 0;
    const Value zero = chance(2) ? number(value) : filled(b_.shape(x), value);
    switch (below(5)) {
      case 0:
        return push(ops::add(b_, zero, x));
      case 1:
        return push(ops::sub(b_, x, zero));
      case 2:
        return push(ops::mul(b_, x, number(1 - value)));
      case 3:
        return push(ops::div(b_, x, filled({1}, 1 - value)));
      default:
        return push(ops::cast(b_, ops::cast(b_, x, chance(2) ? DType::kF32 : DType::kF64), DType::kF64));
    }
  }

  Shape other_shape(int64_t elements) {
    std::vector<int64_t> dims;
    for (int64_t divisor : {2, 3, 4}) {
      if (elements % divisor != 0 || chance(3)) continue;
      dims.push_back(divisor);
      elements /= divisor;
    }
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(below(static_cast<int64_t>(dims.size()) + 1)), elements);
    return Shape(dims);
  }

  void reshaped() {
    const Value x = recent();
    Value y = ops::reshape(b_, x, other_shape(b_.shape(x).elements()));
    if (chance(2)) push(y);
    if (chance(2)) y = ops::reshape(b_, y, chance(2) ? b_.shape(x) : other_shape(b_.shape(x).elements()));
    push(y);
  }

  void permuted() {
    Value x = of_rank(-2);
    for (int64_t times = 1 + below(3); times > 0; --times) {
      std::vector<int64_t> order(static_cast<size_t>(b_.shape(x).rank()));
      std::iota(order.begin(), order.end(), 0);
      for (size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[static_cast<size_t>(below(static_cast<int64_t>(i)))]);
      x = ops::permute(b_, x, order);
    }
    push(x);
  }

  void cut() {
    Value x = of_rank(-1);
    for (int64_t times = 1 + below(2); times > 0; --times) {
      const int64_t axis = below(b_.shape(x).rank()), extent = b_.shape(x)[static_cast<int>(axis)];
      const int64_t begin = below(extent), end = begin + 1 + below(extent - begin);
      x = ops::slice(b_, x, chance(2) ? axis : axis - b_.shape(x).rank(), begin, end);
    }
    push(x);
  }

  void joined() {
    const Value x = of_rank(-1);
    const int64_t axis = below(b_.shape(x).rank());
    if (chance(4)) return push(ops::concat(b_, {x}, axis));
    if (chance(3)) {
      std::vector<int64_t> dims = b_.shape(x).dims();
      if (dims.size() < 5) dims.insert(dims.begin(), 1 + below(2));
      return push(ops::broadcast(b_, chance(2) ? x : ops::broadcast(b_, x, Shape(dims)), Shape(dims)));
    }
    push(ops::concat(b_, {x, ops::neg(b_, x), x}, axis));
  }

  void products() {
    if (chance(3)) {
      const Value x = of_rank(-2);
      if (b_.shape(x).elements() > 200) return;
      return push_bounded(ops::matmul(b_, x, x, chance(2) ? ops::MatmulAttrs{false, true} : ops::MatmulAttrs{true, false}));
    }
    const Value x = of_rank(-1);
    const int64_t width = b_.shape(x).back(), out = chance(2) ? width : 2 + below(6);
    const Value weight = param(chance(4) ? Shape({out, width, 1, 1}) : Shape({out, width}));
    const Value bias = chance(3) ? Value{} : param({out});
    const Value y = ops::linear(b_, x, weight, bias);
    if (chance(5)) push(y);
    if (out == width && chance(2)) return push_bounded(chance(2) ? ops::add(b_, y, x) : ops::add(b_, x, y));
    if (out == width && chance(2)) return push_bounded(ops::linear_add(b_, x, weight, bias, x));
    if (out % 2 == 0 && chance(2)) return push_bounded(ops::linear_geglu(b_, x, weight, bias));
    if (out % 2 == 0 && chance(2)) return push_bounded(ops::geglu(b_, y));
    push_bounded(y);
  }

  void gated() {
    const Value x = recent();
    const Value y = chance(5) ? x : ops::sin(b_, x);
    const Value known = b_.constant(f32({4}), {0, 1, 0.25, 1});
    push(ops::gate(b_, x, y, chance(2) ? known : gates_, below(4)));
  }

  void norms() {
    const Value x = of_rank(-2);
    const int64_t c = b_.shape(x).back();
    const Value weight = param({c}), bias = param({c});
    if (chance(3)) return push(ops::layer_norm(b_, x, weight, bias, 1e-5));
    const int64_t groups = c % 2 == 0 ? 2 : 1;
    if (chance(3)) return push(ops::group_norm_silu(b_, x, weight, bias, groups, 1e-3));
    const Value y = ops::group_norm(b_, x, weight, bias, groups, 1e-3);
    if (chance(4)) push(y);
    push(ops::silu(b_, y));
  }

  void softly() {
    if (chance(2)) return push(ops::softmax(b_, of_rank(-1)));
    const Value x = of_rank(3);
    if (b_.shape(x).elements() > 200) return;
    push(ops::attention(b_, x, x, chance(2) ? x : ops::cos(b_, x), b_.shape(x).back() % 2 == 0 ? 2 : 1));
  }

  void reduced() {
    const Value x = of_rank(-1);
    const std::vector<int64_t> axes{below(b_.shape(x).rank())};
    const bool keep = !chance(3);
    const Value y = chance(3)   ? ops::reduce_max(b_, x, axes, keep)
                    : chance(2) ? ops::reduce_sum(b_, x, axes, keep)
                                : ops::reduce_mean(b_, x, axes, keep);
    push(keep ? ops::sub(b_, x, y) : ops::tanh(b_, y));
  }

  void picture() {
    if (chance(4)) return push(ops::timestep_embedding(b_, time_, {2 + below(5), chance(2), chance(2) ? 0.0 : 0.25}));
    const Value x = of_rank(4);
    if (chance(2)) return push(ops::upsample_nearest(b_, x, b_.shape(x)[1] + below(2), b_.shape(x)[2] + below(2)));
    if (b_.shape(x).elements() > 300) return;
    const int64_t out = 2 + below(4);
    const int64_t stride = 1 + below(2);
    push_bounded(
        ops::conv2d(b_, x, param({out, b_.shape(x).back(), 3, 3}), chance(2) ? Value{} : param({out}), {stride, {1, 1, 1, 1}}));
  }

  void halves() {
    const Value x = of_rank(-1);
    const int64_t width = b_.shape(x).back(), half = width / 2;
    if (width % 2 != 0) return;
    const Value first = ops::slice(b_, x, -1, 0, half);
    const Value second = ops::slice(b_, x, -1, half, width);
    if (chance(5)) push(second);
    const Value gate = ops::gelu(b_, chance(6) ? first : second);
    push(chance(2) ? ops::mul(b_, first, gate) : ops::mul(b_, gate, first));
  }

  /// The same node once more: what cse is for.
  void again() {
    const Node node = graph_.def(any());
    if (node.kind != NodeKind::kOp) return;
    push(b_.op(*node.op, node.inputs, node.attrs));
  }

  void constants() {
    const Value a = b_.constant(f64({2}), {0.5, -1}), c = number(chance(2) ? 0.5 : 1);
    const Value sum = ops::tanh(b_, ops::add(b_, a, c));
    const Value x = of_rank(-1);
    push(ops::add(b_, ops::reshape(b_, x, {b_.shape(x).elements(), 1}), sum));
  }

  /// Names, tags: nothing that changes a value.
  void decorate(size_t first) {
    for (size_t i = first; i < graph_.nodes().size(); ++i) {
      Node& node = graph_.node(i);
      if (chance(4)) graph_.set_value_name(node.results[0], chance(2) ? "h" : "v" + std::to_string(below(40)));
      if (node.kind != NodeKind::kOp) continue;
      node.recompute = chance(15);
      if (chance(15)) node.grad_of = values_.front();
    }
  }

  uint64_t seed_, counter_ = 0;
  int params_ = 0;
  Graph graph_;
  Builder b_;
  std::vector<Value> values_;  // what further steps may read
  Value time_, gates_;
};

}  // namespace

Graph random_graph(uint64_t seed, int steps) { return Generator(seed).run(steps); }

std::vector<double> random_values(const Node& node, const TensorType& type, uint64_t seed) {
  uint64_t stream = 1;
  for (char c : node.label) stream = stream * 131 + static_cast<unsigned char>(c);
  std::vector<double> data(static_cast<size_t>(type.shape.elements()));
  for (size_t i = 0; i < data.size(); ++i) {
    const double normal = rng::normal(seed, stream, i);
    data[i] = node.label == "timestep"        ? std::floor(1000 * rng::uniform(seed, stream, i))
              : node.kind == NodeKind::kParam ? 0.3 * normal
              : node.label == "gates"         ? (i == 0   ? 0.0
                                                 : i == 1 ? 1.0
                                                          : static_cast<double>(static_cast<float>(normal)))
                                              : normal;
  }
  return data;
}

}  // namespace espalier::testing
