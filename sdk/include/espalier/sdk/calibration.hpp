// esp::calibration: what the units of a model do on real batches. See espalier/calibration.h.
#ifndef ESPALIER_SDK_CALIBRATION_HPP
#define ESPALIER_SDK_CALIBRATION_HPP

#include <vector>

#include "espalier/calibration.h"
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/unit.hpp"

namespace esp {
inline namespace v0 {

using unit_set = std::vector<unit>;

class calibration {
 public:
  explicit calibration(const services& of_call) : services_(of_call) {}

  /// The loss without each set of units; the empty set is the model as it is.
  std::vector<esp_score> evaluate(const std::vector<unit_set>& sets) const {
    const auto& table = services_.need<esp_evaluate>(ESP_EVALUATE_SERVICE, kWhy);
    std::vector<esp_unit_name> names;
    std::vector<uint64_t> starts{0};
    for (const unit_set& set : sets) {
      for (const unit& u : set) names.push_back(name_of(u));
      starts.push_back(names.size());
    }
    std::vector<esp_score> scores(sets.size());
    check(table.evaluate(table.ctx, names.data(), starts.data(), sets.size(), scores.data()), "cannot evaluate removals");
    return scores;
  }
  /// d task / d gate of each unit; `magnitudes`, where given, the mean of its absolute value over batches.
  std::vector<double> gate_gradients(const unit_set& units, std::vector<double>* magnitudes = nullptr) const {
    const auto& table = services_.need<esp_gate_gradients>(ESP_GATE_GRADIENTS_SERVICE, kWhy);
    const std::vector<esp_unit_name> names = names_of(units);
    std::vector<double> gradients(units.size());
    if (magnitudes != nullptr) magnitudes->resize(units.size());
    check(table.gradients(table.ctx, names.data(), names.size(), gradients.data(), magnitudes ? magnitudes->data() : nullptr),
          "cannot read gradients of gates");
    return gradients;
  }
  std::vector<esp_unit_statistics> statistics(const unit_set& units) const {
    const auto& table = services_.need<esp_statistics>(ESP_STATISTICS_SERVICE, kWhy);
    const std::vector<esp_unit_name> names = names_of(units);
    std::vector<esp_unit_statistics> out(units.size());
    check(table.statistics(table.ctx, names.data(), names.size(), out.data()), "cannot read statistics of units");
    return out;
  }
  /// Milliseconds of each unit in a forward pass; `whole`, where given, of the model.
  std::vector<double> latency(const unit_set& units, double* whole = nullptr) const {
    const auto& table = services_.need<esp_latency>(ESP_LATENCY_SERVICE, kWhy);
    const std::vector<esp_unit_name> names = names_of(units);
    std::vector<double> ms(units.size());
    check(table.latency(table.ctx, names.data(), names.size(), ms.data(), whole), "cannot measure units");
    return ms;
  }

 private:
  static constexpr const char* kWhy = "it works on data; give prune --calibrate RECIPE, or a recipe that has [data]";
  static esp_unit_name name_of(const unit& u) { return {str(u.path()), u.kind(), 0}; }
  static std::vector<esp_unit_name> names_of(const unit_set& units) {
    std::vector<esp_unit_name> names;
    for (const unit& u : units) names.push_back(name_of(u));
    return names;
  }
  services services_;
};

}  // namespace v0
}  // namespace esp
#endif
