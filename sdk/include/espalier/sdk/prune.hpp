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
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/params.hpp"

namespace esp {
inline namespace v0 {

/// One unit of the model; borrowed from the view.
class unit {
 public:
  explicit unit(const esp_unit* raw) : raw_(raw) {}
  int32_t kind() const { return raw_->kind; }
  std::string_view path() const { return view(raw_->path); }
  std::string_view module() const { return view(raw_->module); }
  int64_t index() const { return raw_->index; }
  int64_t siblings() const { return raw_->siblings; }
  int64_t parameters() const { return raw_->parameters; }
  double flops() const { return raw_->flops; }
  double bytes() const { return raw_->bytes; }
  bool removable() const { return raw_->removable != 0; }
  std::string_view why_not() const { return view(raw_->why_not); }
  /// N,H,W,C; zeros where the unit has none.
  const int64_t* in_shape() const { return raw_->in_shape; }
  const int64_t* out_shape() const { return raw_->out_shape; }
  std::vector<std::string_view> skip_partners() const {
    std::vector<std::string_view> partners;
    for (uint64_t i = 0; i < raw_->skip_partner_count; ++i) partners.push_back(view(raw_->skip_partners[i]));
    return partners;
  }

 private:
  const esp_unit* raw_;
};

/// Weights of the model in hand, widened to f32 on reading.
class weights {
 public:
  explicit weights(const esp_weights* raw) : raw_(raw) {}
  bool available() const { return raw_ != nullptr && raw_->available != 0; }
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
  std::string_view config_json() const { return view(raw_->config_json); }
  esp::weights weights() const { return esp::weights(raw_->weights); }
  /// A metric of the stage before.
  std::optional<double> metric(std::string_view name) const {
    for (uint64_t i = 0; i < raw_->metric_count; ++i)
      if (view(raw_->metric_names[i]) == name) return raw_->metric_values[i];
    return std::nullopt;
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
