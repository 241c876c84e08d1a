// esp::prune: a pruner as a C++ class.
//
//   struct Tail : esp::prune<Tail> {
//     static constexpr std::string_view id = "com.acme.prune.tail", doc = "Drops the last block of every attention module.";
//     void plan(const esp::prune_view& model, esp::prune_plan& out) {
//       for (const esp::unit& u : model.units())
//         if (u.kind() == ESP_UNIT_TRANSFORMER_BLOCK && u.index() + 1 == u.siblings()) out.remove(u, "last of its module");
//     }
//   };
#ifndef ESPALIER_SDK_PRUNE_HPP
#define ESPALIER_SDK_PRUNE_HPP

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "espalier/prune.h"
#include "espalier/sdk/calibration.hpp"
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/params.hpp"
#include "espalier/sdk/unit.hpp"

namespace esp {
inline namespace v0 {

/// Weights of the model in hand, widened to f32 on reading.
class weights {
 public:
  explicit weights(const esp_weights* raw) : raw_(raw) {}
  bool available() const { return raw_ != nullptr; }
  struct tensor {
    std::string_view name;
    esp_tensor_type type;
    uint64_t elements() const {
      uint64_t n = 1;
      for (int32_t i = 0; i < type.rank; ++i) n *= static_cast<uint64_t>(type.dims[i]);
      return n;
    }
  };
  /// The tensors under a block path.
  std::vector<tensor> under(std::string_view path) const {
    std::vector<tensor> found;
    const uint64_t count = raw_->count(raw_->ctx, str(path));
    for (uint64_t i = 0; i < count; ++i) {
      esp_str name{};
      esp_tensor_type type{};
      check(raw_->describe(raw_->ctx, str(path), i, &name, &type), "cannot describe a tensor of " + std::string(path));
      found.push_back({view(name), type});
    }
    return found;
  }
  void read(const tensor& t, std::vector<float>& out) const {
    out.resize(t.elements());
    check(raw_->read_f32(raw_->ctx, str(t.name), out.data(), out.size()), "cannot read " + std::string(t.name));
  }

 private:
  const esp_weights* raw_;
};

/// The current student as a pruner sees it.
class prune_view {
 public:
  explicit prune_view(const esp_prune_view* raw) : raw_(raw) {
    units_.reserve(raw->unit_count);
    for (uint64_t i = 0; i < raw->unit_count; ++i) units_.emplace_back(raw->units + i);
  }
  const std::vector<unit>& units() const { return units_; }
  /// The unit of that kind at that path, or null.
  const unit* find(std::string_view path, int32_t kind) const {
    for (const unit& u : units_)
      if (u.kind() == kind && u.path() == path) return &u;
    return nullptr;
  }
  int32_t stage() const { return raw_->stage; }
  uint64_t seed() const { return raw_->seed; }
  /// Of the whole model.
  int64_t parameters() const { return raw_->parameters; }
  double flops() const { return raw_->flops; }
  std::string_view config_json() const { return view(raw_->config_json); }
  esp::services services() const { return esp::services(raw_->services); }
  /// Not available on a lone config.
  esp::weights weights() const { return esp::weights(services().find<esp_weights>(ESP_WEIGHTS_SERVICE)); }
  /// The newest number of the run called so.
  std::optional<double> metric(std::string_view name) const {
    const auto* metrics = services().find<esp_metrics>(ESP_METRICS_SERVICE);
    for (uint64_t i = 0; metrics != nullptr && i < metrics->count(metrics->ctx); ++i) {
      esp_str each{};
      double value = 0;
      check(metrics->get(metrics->ctx, i, &each, &value), "cannot read a metric");
      if (view(each) == name) return value;
    }
    return std::nullopt;
  }
  /// What the units do on real batches; throws `unsupported` where there is no data.
  esp::calibration calibration() const { return esp::calibration(services()); }
  /// A file to be kept with the result. A host without that service keeps none.
  void keep_file(std::string_view name, std::string_view bytes) const {
    const auto* files = services().find<esp_artifact>(ESP_ARTIFACT_SERVICE);
    if (files == nullptr) return;
    check(files->write(files->ctx, str(name), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
          "cannot keep a file");
  }

 private:
  const esp_prune_view* raw_;
  std::vector<unit> units_;
};

/// Where a pruner puts its rows. The host checks each and does the surgery.
class prune_plan {
 public:
  explicit prune_plan(esp_prune_sink sink) : sink_(sink) {}
  void remove(const unit& u, std::string_view reason) { remove(u.path(), u.kind(), reason); }
  void remove(std::string_view path, int32_t kind, std::string_view reason) {
    if (sink_.remove(sink_.ctx, str(path), kind, str(reason)) != ESP_OK) throw refused{};
  }
  /// A warning that is printed and written into the plan's header.
  void note(std::string_view text) { sink_.note(sink_.ctx, str(text)); }
  /// Staged pruners call this when more is to come after this stage.
  void more() { done_ = false; }
  bool done() const { return done_; }
  /// The host refused a row and already holds the text.
  struct refused {};

 private:
  esp_prune_sink sink_;
  bool done_ = true;
};

/// Base of a pruner. Self has `id`, `doc`, `void plan(const prune_view&, prune_plan&)`; optionally `params()`, and
/// `std::string save() const` with `void load(std::string_view)` for state that must survive a resume.
template <typename Self>
class prune {
 public:
  static constexpr std::string_view kind = "esp.prune/1";
  static const void* vtable() {
    static const esp_prune_vtable table = [] {
      esp_prune_vtable t{};
      t.struct_size = sizeof(t);
      t.create = &detail::instance<Self>::create;
      t.destroy = &detail::instance<Self>::destroy;
      t.next = &next;
      if constexpr (requires(const Self& s) { s.save(); }) {
        t.save = &save;
        t.load = &load;
      }
      return t;
    }();
    return &table;
  }

 private:
  static esp_status next(void* self, const esp_prune_view* raw, esp_prune_sink sink, int32_t* done) noexcept {
    return guard([&]() -> esp_status {
      try {
        prune_plan plan(sink);
        static_cast<Self*>(self)->plan(prune_view(raw), plan);
        *done = plan.done() ? 1 : 0;
        return ESP_OK;
      } catch (const prune_plan::refused&) {
        return ESP_INVALID_ARGUMENT;
      }
    });
  }
  static esp_status save(void* self, uint8_t* out, uint64_t* size) noexcept {
    return guard([&] {
      const std::string state = static_cast<const Self*>(self)->save();
      if (out != nullptr) {
        if (*size < state.size()) throw error("the state needs a larger buffer");
        std::copy(state.begin(), state.end(), reinterpret_cast<char*>(out));
      }
      *size = state.size();
    });
  }
  static esp_status load(void* self, const uint8_t* data, uint64_t size) noexcept {
    return guard([&] { static_cast<Self*>(self)->load({reinterpret_cast<const char*>(data), size}); });
  }
};

}  // namespace v0
}  // namespace esp
#endif
