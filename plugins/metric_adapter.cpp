#include "plugins/metric_adapter.h"

#include <espalier/metric.h>

#include <cmath>

#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/host.h"
#include "plugins/services.h"

namespace espalier::plugins {
namespace {

esp_floats floats_of(const exec::FloatTensor* tensor) {
  esp_floats out{};
  if (tensor == nullptr) return out;
  out.type = to_esp(f32(tensor->shape));
  out.data = tensor->values.data();
  return out;
}

struct Sink {
  std::string who;
  std::vector<std::pair<std::string, double>> numbers;

  esp_metric_sink table() { return {this, value}; }
  static esp_status value(void* ctx, esp_str label, double number) {
    return contained([&] {
      auto& self = *static_cast<Sink*>(ctx);
      const std::string name = printable(view(label), 100);
      if (!std::isfinite(number)) return fail("value: '" + name + "' is not finite");
      for (const auto& [each, other] : self.numbers)
        if (each == name) return fail("value: '" + name + "' is given twice");
      self.numbers.emplace_back(name, number);
      return esp_status{ESP_OK};
    });
  }
};

class PluginMetric final : public train::MetricStrategy {
 public:
  PluginMetric(const Component& component, const ParamValues& params)
      : id_(component.id), table_(static_cast<const esp_metric_vtable*>(component.vtable)) {
    checked(id_, "create", [&] { return table_->create(params.values().data(), params.values().size(), &self_); });
  }
  ~PluginMetric() override { table_->destroy(self_); }
  PluginMetric(const PluginMetric&) = delete;
  PluginMetric& operator=(const PluginMetric&) = delete;

  std::string id() const override { return id_; }
  std::string default_name() const override {
    const std::string_view name = view(table_->default_name);
    return name.empty() ? id_.substr(id_.rfind('.') + 1) : printable(name);
  }
  bool reads_outputs() const override { return (table_->reads & ESP_METRIC_OUTPUTS) != 0; }
  bool reads_pictures() const override { return (table_->reads & ESP_METRIC_PICTURES) != 0; }

  std::vector<std::pair<std::string, double>> measure(const train::MetricView& in) override {
    const Services services;
    esp_metric_view raw{};
    raw.struct_size = sizeof raw;
    raw.student_output = floats_of(in.student_output);
    raw.teacher_output = floats_of(in.teacher_output);
    raw.target = floats_of(in.target);
    raw.timestep = floats_of(in.timestep);
    raw.student_pictures = floats_of(in.student_pictures);
    raw.teacher_pictures = floats_of(in.teacher_pictures);
    raw.services = services.table();
    Sink sink{id_, {}};
    checked(id_, "measure", [&] { return table_->measure(self_, &raw, sink.table()); });
    if (sink.numbers.empty()) throw Error("[" + id_ + "] measure gives no number");
    return std::move(sink.numbers);
  }

 private:
  std::string id_;
  const esp_metric_vtable* table_;
  void* self_ = nullptr;
};

}  // namespace

std::unique_ptr<train::MetricStrategy> make_metric(const Component& component, const ParamValues& params) {
  return std::make_unique<PluginMetric>(component, params);
}

}  // namespace espalier::plugins
