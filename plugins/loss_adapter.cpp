#include "plugins/loss_adapter.h"

#include <espalier/loss.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/graph_build.h"
#include "plugins/host.h"
#include "plugins/services.h"

namespace espalier::plugins {
namespace {

struct Terms {
  const GraphBuild& build;
  std::vector<distill::LossTerm> terms;

  esp_loss_sink table() { return {this, add, log}; }
  static esp_status add(void* ctx, esp_str label, esp_value scalar) { return put(ctx, label, scalar, false); }
  static esp_status log(void* ctx, esp_str label, esp_value scalar) { return put(ctx, label, scalar, true); }
  static esp_status put(void* ctx, esp_str label, esp_value scalar, bool logged) {
    return contained([&] {
      auto& self = *static_cast<Terms*>(ctx);
      self.terms.push_back({printable(view(label), 400), self.build.value(scalar), logged});
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
  bool any_width() const override { return (table_->flags & ESP_LOSS_ANY_WIDTH) != 0; }

  std::vector<distill::LossTerm> emit(Builder& b, const distill::LossView& view) override {
    GraphBuild build(b, view.param);
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
    Services services;
    services.add(ESP_GRAPH_BUILD_SERVICE, build.table());
    raw.services = services.table();
    Terms terms{build, {}};
    checked(id_, "emit", [&] { return table_->emit(self_, &raw, terms.table()); });
    build.finish();
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
