#include "plugins/prune_adapter.h"

#include <espalier/prune.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/host.h"
#include "plugins/prune_services.h"

namespace espalier::plugins {
namespace {

using prune::Unit;
using prune::UnitKind;

constexpr uint64_t kMostState = uint64_t{16} << 20;  // bytes

static_assert(static_cast<int32_t>(UnitKind::kTransformerBlock) == ESP_UNIT_TRANSFORMER_BLOCK);
static_assert(static_cast<int32_t>(UnitKind::kModule) == ESP_UNIT_MODULE);

// The units as the ABI has them; borrows their strings.
struct UnitTable {
  explicit UnitTable(const std::vector<Unit>& units) {
    for (const Unit& unit : units) {
      esp_unit out{};
      out.struct_size = sizeof out;
      out.kind = static_cast<int32_t>(unit.kind);
      out.path = to_esp(std::string_view(unit.path));
      out.module = to_esp(std::string_view(unit.module));
      out.index = unit.index;
      out.siblings = unit.siblings;
      out.parameters = unit.parameters;
      out.flops = unit.flops;
      out.bytes = unit.bytes;
      out.removable = unit.removable ? 1 : 0;
      out.why_not = to_esp(std::string_view(unit.why_not));
      for (size_t i = 0; i < 4 && i < unit.in_shape.size(); ++i) out.in_shape[i] = unit.in_shape[i];
      for (size_t i = 0; i < 4 && i < unit.out_shape.size(); ++i) out.out_shape[i] = unit.out_shape[i];
      std::vector<esp_str>& names = partners.emplace_back();
      for (const std::string& partner : unit.skip_partners) names.push_back(to_esp(std::string_view(partner)));
      out.skip_partners = names.data();
      out.skip_partner_count = names.size();
      rows.push_back(out);
    }
  }
  std::vector<esp_unit> rows;
  std::deque<std::vector<esp_str>> partners;
};

// What one call of `next` hands over. Every row is checked as it comes, so the plugin's author learns it at that row.
class Sink {
 public:
  explicit Sink(const std::vector<Unit>& units) : units_(units) {}
  esp_prune_sink table() { return {this, remove, note}; }
  prune::StrategyRows take() { return std::move(rows_); }

 private:
  static esp_status remove(void* ctx, esp_str path, int32_t kind, esp_str reason) {
    note_host_call();
    return contained([&] { return static_cast<Sink*>(ctx)->add(std::string(view(path)), kind, view(reason)); });
  }

  esp_status add(const std::string& path, int32_t kind, std::string_view reason) {
    const Unit* found = nullptr;
    std::vector<std::string> names;
    for (const Unit& unit : units_) {
      names.push_back(unit.path);
      if (unit.path == path && static_cast<int32_t>(unit.kind) == kind) found = &unit;
    }
    if (found == nullptr) {
      const bool known = std::find(names.begin(), names.end(), path) != names.end();
      return fail(known ? "remove: '" + printable(path) + "' is not a unit of kind " + std::to_string(kind)
                        : "remove: there is no unit '" + printable(path) + "'" + did_you_mean(path, names));
    }
    if (!found->removable) return fail("remove: '" + path + "' cannot be removed: " + found->why_not);
    for (const auto& row : rows_.rows)
      if (row.path == path && row.kind == found->kind) return fail("remove: '" + path + "' is removed twice");
    rows_.rows.push_back({path, found->kind, printable(reason, 400)});
    return ESP_OK;
  }

  static void note(void* ctx, esp_str text) {
    contained([&] { static_cast<Sink*>(ctx)->rows_.notes.push_back(printable(view(text), 400)); });
  }

  const std::vector<Unit>& units_;
  prune::StrategyRows rows_;
};

class PluginPruner final : public prune::PruneStrategy {
 public:
  PluginPruner(const Component& component, const ParamValues& params)
      : id_(component.id), table_(static_cast<const esp_prune_vtable*>(component.vtable)) {
    checked(id_, "create", [&] { return table_->create(params.values().data(), params.values().size(), &self_); });
  }
  ~PluginPruner() override { table_->destroy(self_); }
  PluginPruner(const PluginPruner&) = delete;
  PluginPruner& operator=(const PluginPruner&) = delete;

  std::string id() const override { return id_; }

  prune::StrategyRows next(const prune::StrategyInput& input) override {
    const UnitTable units(input.units);
    Services services;
    WeightsTable weights(input.weights);
    if (input.weights != nullptr) services.add(ESP_WEIGHTS_SERVICE, weights.table());
    const MetricsTable metrics(input.metrics);
    services.add(ESP_METRICS_SERVICE, metrics.table());
    ArtifactTable artifacts;
    services.add(ESP_ARTIFACT_SERVICE, artifacts.table());
    std::optional<GraphTable> graph;
    if (input.tree != nullptr) services.add(ESP_GRAPH_READ_SERVICE, graph.emplace(*input.tree).table());
    const CalibrationTables calibration(input.calibration);
    calibration.add_to(services);
    esp_prune_view model{};
    model.struct_size = sizeof model;
    model.stage = input.stage;
    model.units = units.rows.data();
    model.unit_count = units.rows.size();
    model.config_json = to_esp(std::string_view(input.config_json));
    model.seed = input.seed;
    model.parameters = input.price.parameters;
    model.flops = input.price.flops;
    model.services = services.table();
    Sink sink(input.units);
    int32_t done = 1;
    checked(id_, "next", [&] { return table_->next(self_, &model, sink.table(), &done); });
    prune::StrategyRows rows = sink.take();
    rows.done = done != 0;
    rows.artifacts = artifacts.take();
    return rows;
  }

  std::string save() const override {
    if (table_->save == nullptr) return {};
    uint64_t size = 0;
    checked(id_, "save", [&] { return table_->save(self_, nullptr, &size); });
    if (size > kMostState) throw Error("[" + id_ + "] save: a state of " + std::to_string(size) + " bytes; at most 16 MiB");
    std::string state(size, '\0');
    if (size == 0) return state;
    checked(id_, "save", [&] { return table_->save(self_, reinterpret_cast<uint8_t*>(state.data()), &size); });
    if (size > state.size()) throw Error("[" + id_ + "] save: it needs more bytes at the second call than at the first");
    state.resize(size);
    return state;
  }

  void load(const std::string& state) override {
    if (table_->load == nullptr) return PruneStrategy::load(state);
    checked(id_, "load", [&] { return table_->load(self_, reinterpret_cast<const uint8_t*>(state.data()), state.size()); });
  }

 private:
  std::string id_;
  const esp_prune_vtable* table_;
  void* self_ = nullptr;
};

}  // namespace

std::unique_ptr<prune::PruneStrategy> make_pruner(const Component& component, const ParamValues& params) {
  return std::make_unique<PluginPruner>(component, params);
}

}  // namespace espalier::plugins
