// Unit tests of a plugin without the application: a host that is a few maps. Needs the SDK and the standard library; not part of
// sdk.hpp, because a plugin that ships does not want it.
//
//   esp::testing::model model;
//   model.blocks("up_blocks.0.attentions.0", 4, 1000);                  // an attention module of four blocks
//   const auto result = esp::testing::run(Ramp{.fraction = 0.5}, model);
//   assert(result.rows.size() == 2 && result.error.empty());
//
//   const auto emitted = esp::testing::emit(NormMse{}, esp::testing::batch{});
//   assert(emitted.terms.size() == 1 && emitted.text.find("reduce_mean") != std::string::npos);
//
// Shapes of what a loss emits follow NumPy's broadcasting and the axes of reductions; the ops' own contracts are checked by
// `espalier plugin check`.
#ifndef ESPALIER_TESTING_HPP
#define ESPALIER_TESTING_HPP

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "espalier/sdk.hpp"

namespace esp {
inline namespace v0 {
namespace testing {

/// A host whose errors and log lines can be read. Plugins see it while it lives.
class host {
 public:
  host() : before_(detail::host_slot()) {
    table_ = {sizeof table_, ESP_ABI_MINOR, this, set_error, log, get_interface};
    detail::host_slot() = &table_;
  }
  ~host() { detail::host_slot() = before_; }
  host(const host&) = delete;
  host& operator=(const host&) = delete;
  const esp_host* table() const { return &table_; }
  std::string error;
  std::vector<std::string> lines;

 private:
  static void set_error(void* ctx, esp_str text) { static_cast<host*>(ctx)->error = string(text); }
  static void log(void* ctx, int32_t, esp_str text) { static_cast<host*>(ctx)->lines.push_back(string(text)); }
  /// SplitMix64: not the application's numbers, but as fixed.
  static uint64_t bits(uint64_t seed, uint64_t stream, uint64_t counter) {
    uint64_t z = seed * 0x9E3779B97F4A7C15ULL + stream * 0xBF58476D1CE4E5B9ULL + (counter + 1) * 0x94D049BB133111EBULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  static double uniform(uint64_t seed, uint64_t stream, uint64_t counter) {
    return static_cast<double>(bits(seed, stream, counter) >> 11) * 0x1p-53;
  }
  /// The sum of twelve uniforms, less six.
  static double normal(uint64_t seed, uint64_t stream, uint64_t counter) {
    double sum = -6;
    for (uint64_t i = 0; i < 12; ++i) sum += uniform(seed, stream, 12 * counter + i);
    return sum;
  }
  static const void* get_interface(void*, esp_str id, uint64_t size) {
    static const esp_rng rng{sizeof rng, 0, bits, uniform, normal};
    return view(id) == ESP_RNG_SERVICE && size <= sizeof rng ? &rng : nullptr;
  }
  const esp_host* before_;
  esp_host table_{};
};

/// What a pruner is asked about.
struct model {
  std::vector<esp_unit> units;
  std::map<std::string, double> metrics;
  /// The output error of a set of units by their paths; empty: this host cannot evaluate.
  std::function<double(const std::vector<std::string>&)> output_error;
  std::string config_json = "{}";
  int32_t stage = 0;
  uint64_t seed = 0;

  esp_unit& add(int32_t kind, const std::string& path, const std::string& module, int64_t index, int64_t siblings,
                int64_t parameters) {
    esp_unit u{};
    u.struct_size = sizeof u;
    u.kind = kind;
    u.path = keep(path), u.module = keep(module);
    u.index = index, u.siblings = siblings, u.parameters = parameters;
    u.flops = 2.0 * static_cast<double>(parameters);
    u.removable = 1;
    units.push_back(u);
    return units.back();
  }
  /// An attention module with `count` transformer blocks of so many parameters each.
  void blocks(const std::string& module, int64_t count, int64_t parameters) {
    add(ESP_UNIT_ATTENTION, module, "", 0, 1, count * parameters).removable = 0;
    for (int64_t i = 0; i < count; ++i)
      add(ESP_UNIT_TRANSFORMER_BLOCK, module + ".transformer_blocks." + std::to_string(i), module, i, count, parameters);
  }

 private:
  esp_str keep(const std::string& text) { return str(texts_.emplace_back(text)); }
  std::deque<std::string> texts_;
};

/// What a pruner answered. `error`: of a failure; empty when it succeeded.
struct pruned {
  struct row {
    std::string path;
    int32_t kind;
    std::string reason;
  };
  std::vector<row> rows;
  std::vector<std::string> notes;
  std::map<std::string, std::string> files;
  bool done = false;
  esp_status status = ESP_OK;
  std::string error;
};

namespace detail_ {

struct prune_call {
  const model& of;
  pruned result;
  host fake;
  std::vector<std::pair<std::string, double>> metrics;

  static prune_call& self(void* ctx) { return *static_cast<prune_call*>(ctx); }
  static esp_status remove(void* ctx, esp_str path, int32_t kind, esp_str reason) {
    prune_call& call = self(ctx);
    for (const esp_unit& u : call.of.units)
      if (view(u.path) == view(path) && u.kind == kind && u.removable != 0) {
        for (const pruned::row& row : call.result.rows)
          if (row.path == view(path) && row.kind == kind) return call.fail("'" + string(path) + "' is removed twice");
        call.result.rows.push_back({string(path), kind, string(reason)});
        return ESP_OK;
      }
    return call.fail("'" + string(path) + "' is no removable unit of that kind");
  }
  esp_status fail(const std::string& text) {
    fake.error = text;
    return ESP_INVALID_ARGUMENT;
  }
  static void note(void* ctx, esp_str text) { self(ctx).result.notes.push_back(string(text)); }
  static uint64_t count(void* ctx) { return self(ctx).metrics.size(); }
  static esp_status get(void* ctx, uint64_t index, esp_str* name, double* value) {
    *name = str(self(ctx).metrics[index].first);
    *value = self(ctx).metrics[index].second;
    return ESP_OK;
  }
  static esp_status find(void* ctx, esp_str name, double* value) {
    for (const auto& [each, number] : self(ctx).metrics)
      if (each == view(name)) return *value = number, ESP_OK;
    return self(ctx).fail("there is no metric '" + string(name) + "'");
  }
  static esp_status write(void* ctx, esp_str name, const uint8_t* data, uint64_t size) {
    self(ctx).result.files[string(name)].assign(reinterpret_cast<const char*>(data), size);
    return ESP_OK;
  }
  static esp_status evaluate(void* ctx, const esp_unit_name* units, const uint64_t* starts, uint64_t sets, esp_score* scores) {
    for (uint64_t i = 0; i < sets; ++i) {
      std::vector<std::string> paths;
      for (uint64_t k = starts[i]; k < starts[i + 1]; ++k) paths.push_back(string(units[k].path));
      scores[i].output = self(ctx).of.output_error(paths);
      scores[i].task = 1 + scores[i].output;
    }
    return ESP_OK;
  }
  esp_metrics metrics_table{sizeof(esp_metrics), 0, this, count, get, find};
  esp_artifact artifact_table{sizeof(esp_artifact), 0, this, write};
  esp_evaluate evaluate_table{sizeof(esp_evaluate), 0, this, 1, evaluate};
  static const void* service(void* ctx, esp_str id, uint64_t) {
    prune_call& call = self(ctx);
    if (view(id) == ESP_METRICS_SERVICE) return &call.metrics_table;
    if (view(id) == ESP_ARTIFACT_SERVICE) return &call.artifact_table;
    if (view(id) == ESP_EVALUATE_SERVICE && call.of.output_error) return &call.evaluate_table;
    return call.fake.table()->get_interface(nullptr, id, 0);
  }
};

}  // namespace detail_

/// Asks a pruner once, as the application does: through its C table, with `values` as its members hold them.
template <typename Pruner>
pruned run(Pruner pruner, const model& of) {
  detail_::prune_call call{of, {}, {}, {of.metrics.begin(), of.metrics.end()}};
  const esp_services services{sizeof services, 0, &call, detail_::prune_call::service};
  esp_prune_view view{};
  view.struct_size = sizeof view;
  view.stage = of.stage;
  view.units = of.units.data();
  view.unit_count = of.units.size();
  view.config_json = str(of.config_json);
  view.seed = of.seed;
  view.services = &services;
  for (const esp_unit& u : of.units)
    if (u.kind == ESP_UNIT_TRANSFORMER_BLOCK) view.parameters += u.parameters, view.flops += u.flops;
  const auto& table = *static_cast<const esp_prune_vtable*>(Pruner::vtable());
  int32_t done = 0;
  call.result.status = table.next(&pruner, &view, {&call, detail_::prune_call::remove, detail_::prune_call::note}, &done);
  call.result.done = done != 0;
  if (call.result.status != ESP_OK) call.result.error = call.fake.error;
  return std::move(call.result);
}

/// What a loss is emitted for.
struct batch {
  std::vector<int64_t> image{2, 8, 8, 4};   // N,H,W,C
  std::vector<std::vector<int64_t>> pairs;  // shapes of features
  bool teacher = true;
};

/// What a loss emitted. `text`: a line for each op, "v5 = sub(output, teacher_output)".
struct emitted {
  std::string text;
  std::vector<std::pair<std::string, std::string>> terms, logged;  // label, value
  std::vector<std::string> params;
  esp_status status = ESP_OK;
  std::string error;
};

namespace detail_ {

struct emit_call {
  emitted result;
  host fake;
  struct value {
    std::string name;
    esp_tensor_type type;
  };
  std::vector<value> values;

  static emit_call& self(void* ctx) { return *static_cast<emit_call*>(ctx); }
  esp_value add(const std::string& name, const esp_tensor_type& type) {
    values.push_back({name, type});
    return values.size();
  }
  static esp_tensor_type type_of(const std::vector<int64_t>& dims) {
    esp_tensor_type type{};
    type.dtype = ESP_F32;
    for (const int64_t extent : dims) type.dims[type.rank++] = extent;
    return type;
  }
  static esp_tensor_type broadcast(const esp_tensor_type& a, const esp_tensor_type& b) {
    esp_tensor_type out = a.rank >= b.rank ? a : b;
    const esp_tensor_type& other = a.rank >= b.rank ? b : a;
    for (int32_t i = 0; i < other.rank; ++i) {
      int64_t& extent = out.dims[out.rank - 1 - i];
      extent = std::max(extent, other.dims[other.rank - 1 - i]);
    }
    return out;
  }
  static esp_tensor_type reduced(const esp_tensor_type& x, const esp_attr* attrs, uint64_t count) {
    std::vector<bool> gone(static_cast<size_t>(x.rank), true);
    bool keep = false;
    for (uint64_t i = 0; i < count; ++i) {
      if (view(attrs[i].name) == "keep_dims") keep = attrs[i].int_value != 0;
      if (view(attrs[i].name) != "axes" || attrs[i].count == 0) continue;
      gone.assign(gone.size(), false);
      for (uint64_t k = 0; k < attrs[i].count; ++k) {
        const int64_t axis = attrs[i].ints[k] < 0 ? attrs[i].ints[k] + x.rank : attrs[i].ints[k];
        gone[static_cast<size_t>(axis)] = true;
      }
    }
    std::vector<int64_t> dims;
    for (int32_t i = 0; i < x.rank; ++i)
      if (!gone[static_cast<size_t>(i)] || keep) dims.push_back(gone[static_cast<size_t>(i)] ? 1 : x.dims[i]);
    return type_of(dims);
  }

  static esp_status op(void* ctx, esp_str name, const esp_value* inputs, uint64_t count, const esp_attr* attrs,
                       uint64_t attr_count, esp_value* result) {
    emit_call& call = self(ctx);
    std::string words;
    esp_tensor_type type{};
    for (uint64_t i = 0; i < count; ++i) {
      if (inputs[i] > call.values.size()) return call.fail("a value handle is not of this call");
      if (inputs[i] == 0) continue;
      const value& in = call.values[inputs[i] - 1];
      words += (words.empty() ? "" : ", ") + in.name;
      type = i == 0 ? in.type : broadcast(type, in.type);
    }
    if (view(name).substr(0, 7) == "reduce_") type = reduced(type, attrs, attr_count);
    const std::string made = "v" + std::to_string(call.values.size() + 1);
    call.result.text += made + " = " + string(name) + "(" + words + ")\n";
    *result = call.add(made, type);
    return ESP_OK;
  }
  esp_status fail(const std::string& text) {
    fake.error = text;
    return ESP_INVALID_ARGUMENT;
  }
  static esp_status constant(void* ctx, double number, esp_value* result) {
    *result = self(ctx).add(std::to_string(number), type_of({}));
    return ESP_OK;
  }
  static esp_status describe(void* ctx, esp_value of, esp_tensor_type* type) {
    if (of == 0 || of > self(ctx).values.size()) return self(ctx).fail("a value handle is not of this call");
    *type = self(ctx).values[of - 1].type;
    return ESP_OK;
  }
  static esp_status param(void* ctx, esp_str name, const esp_tensor_type* type, esp_init, esp_value* result) {
    self(ctx).result.params.push_back(string(name));
    *result = self(ctx).add(string(name), *type);
    return ESP_OK;
  }
  static esp_status begin_composite(void* ctx, esp_str name, const esp_value* inputs, uint64_t count, esp_value* inside) {
    self(ctx).result.text += "begin " + string(name) + "\n";
    std::copy(inputs, inputs + count, inside);
    return ESP_OK;
  }
  static esp_status end_composite(void* ctx, esp_value result, esp_value* outside) {
    self(ctx).result.text += "end\n";
    *outside = result;
    return ESP_OK;
  }
  static esp_status term(void* ctx, esp_str label, esp_value scalar) {
    return self(ctx).put(self(ctx).result.terms, label, scalar);
  }
  static esp_status log(void* ctx, esp_str label, esp_value scalar) {
    return self(ctx).put(self(ctx).result.logged, label, scalar);
  }
  esp_status put(std::vector<std::pair<std::string, std::string>>& to, esp_str label, esp_value scalar) {
    if (scalar == 0 || scalar > values.size()) return fail("a value handle is not of this call");
    if (values[scalar - 1].type.rank != 0) return fail("term '" + string(label) + "' is no scalar");
    to.emplace_back(string(label), values[scalar - 1].name);
    return ESP_OK;
  }
};

}  // namespace detail_

/// Emits a loss once, as the application does.
template <typename Loss>
emitted emit(Loss loss, const batch& of) {
  detail_::emit_call call;
  using call_type = detail_::emit_call;
  const esp_graph_build build{sizeof build,
                              0,
                              &call,
                              call_type::op,
                              call_type::constant,
                              call_type::describe,
                              call_type::param,
                              call_type::begin_composite,
                              call_type::end_composite};
  const esp_tensor_type image = call_type::type_of(of.image), each = call_type::type_of({of.image.at(0)});
  esp_loss_view view{};
  view.struct_size = sizeof view;
  view.build = &build;
  view.output = call.add("output", image);
  view.teacher_output = of.teacher ? call.add("teacher_output", image) : 0;
  view.target = call.add("target", image);
  view.timestep = call.add("timestep", each);
  view.alpha_bar = call.add("alpha_bar", each);
  std::vector<esp_feature_pair> pairs;
  std::deque<std::string> paths;
  for (const auto& shape : of.pairs) {
    esp_feature_pair pair{};
    pair.struct_size = sizeof pair;
    pair.teacher_path = pair.student_path = str(paths.emplace_back("block." + std::to_string(pairs.size())));
    pair.teacher = call.add("teacher." + std::to_string(pairs.size()), call_type::type_of(shape));
    pair.student = call.add("student." + std::to_string(pairs.size()), call_type::type_of(shape));
    pairs.push_back(pair);
  }
  view.pairs = pairs.data();
  view.pair_count = pairs.size();
  const auto& table = *static_cast<const esp_loss_vtable*>(Loss::vtable());
  call.result.status = table.emit(&loss, &view, {&call, call_type::term, call_type::log});
  if (call.result.status != ESP_OK) call.result.error = call.fake.error;
  return std::move(call.result);
}

}  // namespace testing
}  // namespace v0
}  // namespace esp
#endif
