#include "plugins/graph_build.h"

#include <algorithm>
#include <atomic>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/print.h"
#include "core/ops/composite.h"
#include "core/ops/registry.h"
#include "plugins/host.h"
#include "plugins/node_view.h"

namespace espalier::plugins {
namespace {

constexpr size_t kMaxCount = 4096;                   // operands, attributes
constexpr int64_t kMostElements = int64_t{1} << 31;  // of a parameter

uint64_t next_epoch() {
  static std::atomic<uint64_t> calls{0};
  return (++calls & 0xffffffffu) << 32;
}

GraphBuild& self(void* ctx) { return *static_cast<GraphBuild*>(ctx); }

int64_t calls_until_failure = -1;
bool injected = false;

/// Every function of the table begins with it.
void enter() {
  note_host_call();
  if (calls_until_failure < 0) return;
  if (calls_until_failure-- > 0) return;
  injected = true;
  throw UserError(kInjected);
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 100 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

}  // namespace

void inject_build_failure(int64_t at) { calls_until_failure = at, injected = false; }
bool build_failure_was_injected() { return injected; }

GraphBuild::GraphBuild(Builder& b, MakeParam param) : make_param_(std::move(param)), outside_{&b, next_epoch(), {}} {
  table_ = {sizeof table_, 0, this, op, constant, describe, &GraphBuild::param, begin_composite, end_composite};
}

esp_value GraphBuild::handle(Scope& scope, Value v) {
  if (!v.present()) return 0;
  scope.values.push_back(v);
  return scope.epoch | scope.values.size();
}
esp_value GraphBuild::handle(Value v) { return handle(outside_, v); }

Value GraphBuild::value(esp_value handle) const {
  const Scope& now = scope();
  const uint64_t index = handle & 0xffffffffu;
  if (region_ && (handle ^ outside_.epoch) >> 32 == 0 && handle != 0)
    throw UserError("a value from outside is read in the composite '" + region_name_ + "': make it one of its inputs");
  if ((handle ^ now.epoch) >> 32 != 0 || index == 0 || index > now.values.size())
    throw UserError("a value handle is not of this call");
  return now.values[index - 1];
}

void GraphBuild::finish() const {
  if (region_) throw UserError("the composite '" + region_name_ + "' is begun and not ended");
}

esp_status GraphBuild::op(void* ctx, esp_str name, const esp_value* inputs, uint64_t input_count, const esp_attr* attrs,
                          uint64_t attr_count, esp_value* result) {
  if (result == nullptr) return fail("op: the result is at null");
  return contained([&] {
    enter();
    *result = self(ctx).add(std::string(view(name)), {inputs, input_count}, {attrs, attr_count});
  });
}
esp_status GraphBuild::constant(void* ctx, double number, esp_value* result) {
  if (result == nullptr) return fail("constant: the result is at null");
  return contained([&] {
    enter();
    *result = handle(self(ctx).scope(), self(ctx).scope().builder->scalar(number));
  });
}
esp_status GraphBuild::describe(void* ctx, esp_value value, esp_tensor_type* type) {
  if (type == nullptr) return fail("describe: the type is at null");
  return contained([&] {
    enter();
    *type = to_esp(self(ctx).scope().builder->type(self(ctx).value(value)));
  });
}
esp_status GraphBuild::param(void* ctx, esp_str name, const esp_tensor_type* type, esp_init init, esp_value* result) {
  if (result == nullptr || type == nullptr) return fail("param: the type or the result is at null");
  return contained([&] {
    enter();
    *result = self(ctx).add_param(std::string(view(name)), *type, init);
  });
}
esp_status GraphBuild::begin_composite(void* ctx, esp_str name, const esp_value* inputs, uint64_t input_count,
                                       esp_value* inside) {
  if (input_count > 0 && (inputs == nullptr || inside == nullptr)) return fail("begin_composite: inputs or handles are at null");
  return contained([&] {
    enter();
    self(ctx).begin(std::string(view(name)), {inputs, input_count}, inside);
  });
}
esp_status GraphBuild::end_composite(void* ctx, esp_value result, esp_value* outside) {
  if (outside == nullptr) return fail("end_composite: the result is at null");
  return contained([&] {
    enter();
    *outside = self(ctx).end(result);
  });
}

esp_value GraphBuild::add(const std::string& name, std::span<const esp_value> inputs, std::span<const esp_attr> attrs) {
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
  Builder& b = *scope().builder;
  const Value made = b.op(*def, std::move(operands), attrs_of(attrs));
  for (int64_t extent : b.shape(made).dims())
    if (extent < 1) throw UserError("'" + name + "' makes " + to_string(b.type(made)) + "; extents must be at least 1");
  return handle(scope(), made);
}

esp_value GraphBuild::add_param(const std::string& name, const esp_tensor_type& type, const esp_init& init) {
  if (region_) throw UserError("param: '" + printable(name) + "' in a composite; make it outside and one of its inputs");
  if (!is_name(name)) throw UserError("param: '" + printable(name) + "' is no name of letters, digits, '.', '-' and '_'");
  if (type.dtype != ESP_F32 || type.rank < 0 || type.rank > ESP_MAX_RANK)
    throw UserError("param: '" + name + "' must be f32, of at most " + std::to_string(int{ESP_MAX_RANK}) + " dimensions");
  if (!make_param_) throw UserError("param: this loss cannot have parameters here");
  std::vector<int64_t> dims(type.dims, type.dims + type.rank);
  int64_t elements = 1;
  for (const int64_t extent : dims) {
    if (extent < 1 || elements > kMostElements / extent)
      throw UserError("param: '" + name + "' has an extent below 1, or more than 2^31 elements");
    elements *= extent;
  }
  if (init.kind < ESP_INIT_ZEROS || init.kind > ESP_INIT_IDENTITY || !(init.scale >= -1e6 && init.scale <= 1e6))
    throw UserError("param: '" + name + "' begins as kind " + std::to_string(init.kind) + ", scale " +
                    std::to_string(init.scale) + "; see ESP_INIT_*");
  if (init.kind == ESP_INIT_IDENTITY && dims.size() != 2)
    throw UserError("param: '" + name + "' is no matrix, and begins as an identity");
  return handle(outside_, make_param_(name, f32(Shape(dims)), {static_cast<distill::ParamInit::Kind>(init.kind), init.scale}));
}

void GraphBuild::begin(const std::string& name, std::span<const esp_value> inputs, esp_value* inside) {
  if (region_) throw UserError("composite '" + printable(name) + "' in the composite '" + region_name_ + "'; they do not nest");
  if (!is_name(name) || name.find('.') == std::string::npos)
    throw UserError("composite: '" + printable(name) + "' is not in reverse-domain form (com.example.name)");
  if (inputs.empty() || inputs.size() > kMaxCount) throw UserError("composite '" + name + "' needs inputs, at most 4,096");
  region_inputs_.clear();
  for (const esp_value input : inputs) region_inputs_.push_back(value(input));
  body_.emplace();
  body_->name = "body";
  body_builder_.emplace(*body_);
  inside_ = {&*body_builder_, next_epoch(), {}};
  for (size_t i = 0; i < inputs.size(); ++i)
    inside[i] = handle(inside_, body_builder_->input("x" + std::to_string(i), outside_.builder->type(region_inputs_[i])));
  region_name_ = name;
  region_ = true;
}

esp_value GraphBuild::end(esp_value result) {
  if (!region_) throw UserError("end_composite: none is begun");
  body_builder_->output("y", value(result));
  region_ = false;
  return handle(outside_, ops::composite(*outside_.builder, region_name_, region_inputs_, print(*body_)));
}

}  // namespace espalier::plugins
