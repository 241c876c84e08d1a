// Handles are an epoch and an index: one that a plugin kept from an earlier call, or made up, is refused and never followed.

#include "plugins/loss_adapter.h"

#include <espalier/loss.h>

#include <atomic>
#include <deque>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ops/registry.h"
#include "plugins/host.h"
#include "plugins/node_view.h"

namespace espalier::plugins {
namespace {

constexpr size_t kMaxCount = 4096;  // operands, attributes

// The graph as one call of a plugin may extend it.
class Build {
 public:
  explicit Build(Builder& b) : b_(b) {
    static std::atomic<uint64_t> calls{0};
    epoch_ = (++calls & 0xffffffffu) << 32;
    table_ = {sizeof(esp_graph_build), 0, this, op, constant, describe};
  }
  Build(const Build&) = delete;
  Build& operator=(const Build&) = delete;

  const esp_graph_build* table() const { return &table_; }
  esp_value handle(Value v) {
    if (!v.present()) return 0;
    values_.push_back(v);
    return epoch_ | values_.size();
  }
  /// Errors: UserError for a handle that this call did not give.
  Value value(esp_value handle) const {
    const uint64_t index = handle & 0xffffffffu;
    if ((handle ^ epoch_) >> 32 != 0 || index == 0 || index > values_.size())
      throw UserError("a value handle is not of this call");
    return values_[index - 1];
  }

 private:
  static Build& self(void* ctx) { return *static_cast<Build*>(ctx); }

  static esp_status op(void* ctx, esp_str name, const esp_value* inputs, uint64_t input_count, const esp_attr* attrs,
                       uint64_t attr_count, esp_value* result) {
    if (result == nullptr) return fail("op: the result is at null");
    return contained([&] { *result = self(ctx).add(std::string(view(name)), {inputs, input_count}, {attrs, attr_count}); });
  }
  static esp_status constant(void* ctx, double number, esp_value* result) {
    if (result == nullptr) return fail("constant: the result is at null");
    return contained([&] { *result = self(ctx).handle(self(ctx).b_.scalar(number)); });
  }
  static esp_status describe(void* ctx, esp_value value, esp_tensor_type* type) {
    if (type == nullptr) return fail("describe: the type is at null");
    return contained([&] { *type = to_esp(self(ctx).b_.type(self(ctx).value(value))); });
  }

  esp_value add(const std::string& name, std::span<const esp_value> inputs, std::span<const esp_attr> attrs) {
    if ((inputs.size() > 0 && inputs.data() == nullptr) || (attrs.size() > 0 && attrs.data() == nullptr))
      throw UserError("'" + printable(name) + "' has operands or attributes at null");
    if (inputs.size() > kMaxCount || attrs.size() > kMaxCount)
      throw UserError("'" + printable(name) + "' has over " + std::to_string(kMaxCount) + " operands or attributes");
    const OpDef* def = ops::find(name);
    if (def == nullptr) {
      std::vector<std::string> known;
      for (const OpDef* each : ops::all()) known.emplace_back(*each->name);
      throw UserError("there is no op '" + printable(name) + "'" + did_you_mean(name, known));
    }
    std::vector<Value> operands;
    for (esp_value input : inputs) operands.push_back(input == 0 ? Value{} : value(input));
    const Value made = b_.op(*def, std::move(operands), attrs_of(attrs));
    for (int64_t extent : b_.shape(made).dims())
      if (extent < 1) throw UserError("'" + name + "' makes " + to_string(b_.type(made)) + "; extents must be at least 1");
    return handle(made);
  }

  Builder& b_;
  uint64_t epoch_ = 0;
  esp_graph_build table_{};
  std::vector<Value> values_;
};

struct Terms {
  const Build& build;
  std::vector<distill::LossTerm> terms;

  esp_loss_sink table() { return {this, add}; }
  static esp_status add(void* ctx, esp_str label, esp_value scalar) {
    return contained([&] {
      auto& self = *static_cast<Terms*>(ctx);
      self.terms.push_back({printable(view(label), 400), self.build.value(scalar)});
    });
  }
};

class PluginLoss final : public distill::LossStrategy {
 public:
  PluginLoss(const Component& component, const ParamValues& params)
      : id_(component.id), table_(static_cast<const esp_loss_vtable*>(component.vtable)), pairs_(pairs_of(params)) {
    checked(id_, "create", [&] { return table_->create(params.values().data(), params.values().size(), &self_); });
  }
  ~PluginLoss() override { table_->destroy(self_); }
  PluginLoss(const PluginLoss&) = delete;
  PluginLoss& operator=(const PluginLoss&) = delete;

  std::string id() const override { return id_; }
  std::string default_name() const override {
    const std::string_view name = view(table_->default_name);
    return name.empty() ? id_.substr(id_.rfind('.') + 1) : printable(name);
  }
  distill::PairsRequest pairs() const override { return pairs_; }

  std::vector<distill::LossTerm> emit(Builder& b, const distill::LossView& view) override {
    Build build(b);
    std::vector<esp_feature_pair> pairs;
    for (const distill::PairValues& pair : view.pairs) {
      esp_feature_pair out{};
      out.struct_size = sizeof out;
      out.teacher_path = to_esp(std::string_view(pair.paths.teacher));
      out.student_path = to_esp(std::string_view(pair.paths.student));
      out.teacher = build.handle(pair.teacher);
      out.student = build.handle(pair.student);
      pairs.push_back(out);
    }
    esp_loss_view raw{};
    raw.struct_size = sizeof raw;
    raw.prediction_type = view.predicts_v ? ESP_PREDICT_V : ESP_PREDICT_EPSILON;
    raw.build = build.table();
    raw.output = build.handle(view.output);
    raw.teacher_output = build.handle(view.teacher_output);
    raw.target = build.handle(view.target);
    raw.timestep = build.handle(view.timestep);
    raw.alpha_bar = build.handle(view.alpha_bar);
    raw.pairs = pairs.data();
    raw.pair_count = pairs.size();
    Terms terms{build, {}};
    checked(id_, "emit", [&] { return table_->emit(self_, &raw, terms.table()); });
    return std::move(terms.terms);
  }

 private:
  std::string id_;
  const esp_loss_vtable* table_;
  distill::PairsRequest pairs_;
  void* self_ = nullptr;
};

}  // namespace

distill::PairsRequest pairs_of(const ParamValues& params) {
  for (const esp_param_value& value : params.values()) {
    if (value.kind != ESP_PARAM_PAIRS) continue;
    distill::PairsRequest request{.wanted = true, .granularity = std::string(view(value.string_value))};
    for (uint64_t i = 0; i + 1 < value.string_count; i += 2)
      request.listed.push_back({std::string(view(value.strings[i])), std::string(view(value.strings[i + 1]))});
    return request;
  }
  return {};
}

const std::vector<ParamSpec>& text_loss_params() {
  static const std::vector<ParamSpec> specs{{.kind = ESP_PARAM_PAIRS,
                                             .name = "pairs",
                                             .doc = "a granularity, or pairs of block paths",
                                             .default_string = "sub-block",
                                             .choices = {}}};
  return specs;
}

std::unique_ptr<distill::LossStrategy> make_loss(const Component& component, const ParamValues& params) {
  return std::make_unique<PluginLoss>(component, params);
}

}  // namespace espalier::plugins
