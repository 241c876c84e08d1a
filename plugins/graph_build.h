#pragma once
// The graph as one call of a loss may extend it: esp_graph_build.

#include <espalier/loss.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/distill/loss.h"
#include "core/ir/builder.h"

namespace espalier::plugins {

/// Handles are an epoch and an index: one that a plugin kept from an earlier call, or made up, is refused and never followed.
class GraphBuild {
 public:
  using MakeParam = std::function<Value(const std::string&, const TensorType&, const distill::ParamInit&)>;
  GraphBuild(Builder& b, MakeParam param);
  GraphBuild(const GraphBuild&) = delete;
  GraphBuild& operator=(const GraphBuild&) = delete;

  const esp_graph_build* table() const { return &table_; }
  esp_value handle(Value v);
  /// Errors: UserError for a handle that this call did not give.
  Value value(esp_value handle) const;
  /// Errors: UserError when a composite was begun and not ended.
  void finish() const;

 private:
  /// The values that handles of one graph mean: of the call's, or of the inside of a composite.
  struct Scope {
    Builder* builder = nullptr;
    uint64_t epoch = 0;
    std::vector<Value> values;
  };

  static esp_status op(void* ctx, esp_str name, const esp_value* inputs, uint64_t input_count, const esp_attr* attrs,
                       uint64_t attr_count, esp_value* result);
  static esp_status constant(void* ctx, double number, esp_value* result);
  static esp_status describe(void* ctx, esp_value value, esp_tensor_type* type);
  static esp_status param(void* ctx, esp_str name, const esp_tensor_type* type, esp_init init, esp_value* result);
  static esp_status begin_composite(void* ctx, esp_str name, const esp_value* inputs, uint64_t input_count, esp_value* inside);
  static esp_status end_composite(void* ctx, esp_value result, esp_value* outside);

  Scope& scope() { return region_ ? inside_ : outside_; }
  const Scope& scope() const { return region_ ? inside_ : outside_; }
  static esp_value handle(Scope& scope, Value v);
  esp_value add(const std::string& name, std::span<const esp_value> inputs, std::span<const esp_attr> attrs);
  esp_value add_param(const std::string& name, const esp_tensor_type& type, const esp_init& init);
  void begin(const std::string& name, std::span<const esp_value> inputs, esp_value* inside);
  esp_value end(esp_value result);

  MakeParam make_param_;
  Scope outside_, inside_;
  std::optional<Graph> body_;
  std::optional<Builder> body_builder_;
  std::vector<Value> region_inputs_;
  std::string region_name_;
  bool region_ = false;
  esp_graph_build table_{};
};

/// For the validator: call number `at` (from 0) of the builders made from here on is refused with kInjected; -1: none.
void inject_build_failure(int64_t at);
bool build_failure_was_injected();
inline constexpr const char* kInjected = "refused by the validator, to see what the plugin does";

}  // namespace espalier::plugins
