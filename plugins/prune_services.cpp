#include "plugins/prune_services.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/text.h"
#include "core/io/memory_source.h"
#include "core/model/unet_graph.h"
#include "plugins/host.h"

namespace espalier::plugins {

WeightsTable::WeightsTable(io::TensorSourcePtr source) : source_(std::move(source)) {
  table_ = {sizeof(esp_weights), 0, this, count, describe, read_f32};
}

const std::vector<const std::string*>& WeightsTable::under(std::string_view path) {
  if (cached_ && cached_path_ == path) return cached_names_;
  cached_names_.clear();
  const std::string prefix = std::string(path) + ".";
  if (source_ != nullptr)
    for (const std::string& name : source_->names())
      if (path.empty() || name == path || name.compare(0, prefix.size(), prefix) == 0) cached_names_.push_back(&name);
  cached_path_ = path;
  cached_ = true;
  return cached_names_;
}

uint64_t WeightsTable::count(void* ctx, esp_str path) {
  uint64_t count = 0;
  contained([&] { count = static_cast<WeightsTable*>(ctx)->under(view(path)).size(); });
  return count;
}

esp_status WeightsTable::describe(void* ctx, esp_str path, uint64_t index, esp_str* name, esp_tensor_type* type) {
  return contained([&] {
    auto& self = *static_cast<WeightsTable*>(ctx);
    const std::vector<const std::string*>& names = self.under(view(path));
    if (index >= names.size())
      return fail("weights: '" + std::string(view(path)) + "' has " + std::to_string(names.size()) +
                  " tensors, asked for number " + std::to_string(index));
    *type = to_esp(self.source_->get(*names[index]).type);
    *name = to_esp(*names[index]);
    return esp_status{ESP_OK};
  });
}

esp_status WeightsTable::read_f32(void* ctx, esp_str name, float* out, uint64_t capacity) {
  return contained([&] {
    auto& self = *static_cast<WeightsTable*>(ctx);
    if (self.source_ == nullptr) return fail("weights: the model has none (a lone config)");
    const io::TensorRef tensor = self.source_->get(view(name));
    const auto elements = static_cast<uint64_t>(tensor.type.shape.elements());
    if (capacity != elements)
      return fail("weights: '" + std::string(view(name)) + "' has " + std::to_string(elements) + " elements, room for " +
                  std::to_string(capacity));
    const std::vector<float> values = io::read_f32(tensor);
    std::memcpy(out, values.data(), values.size() * sizeof(float));
    return esp_status{ESP_OK};
  });
}

MetricsTable::MetricsTable(const std::map<std::string, double>& metrics) : numbers_(metrics.begin(), metrics.end()) {
  table_ = {sizeof table_, 0, this, count, get, find};
}

uint64_t MetricsTable::count(void* ctx) { return static_cast<MetricsTable*>(ctx)->numbers_.size(); }

esp_status MetricsTable::get(void* ctx, uint64_t index, esp_str* name, double* value) {
  const auto& numbers = static_cast<MetricsTable*>(ctx)->numbers_;
  if (index >= numbers.size() || name == nullptr || value == nullptr)
    return fail("metrics: there are " + std::to_string(numbers.size()) + ", asked for number " + std::to_string(index));
  *name = to_esp(std::string_view(numbers[index].first));
  *value = numbers[index].second;
  return ESP_OK;
}

esp_status MetricsTable::find(void* ctx, esp_str name, double* value) {
  return contained([&] {
    std::vector<std::string> known;
    for (const auto& [each, number] : static_cast<MetricsTable*>(ctx)->numbers_) {
      known.push_back(each);
      if (each != view(name) || value == nullptr) continue;
      *value = number;
      return esp_status{ESP_OK};
    }
    const std::string wanted = printable(view(name));
    return fail("metrics: there is no '" + wanted + "'" + (known.empty() ? "; there are none yet" : did_you_mean(wanted, known)));
  });
}

namespace {

constexpr uint64_t kMostArtifactBytes = uint64_t{64} << 20;

bool is_file_name(std::string_view name) {
  if (name.empty() || name.size() > 100 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

}  // namespace

ArtifactTable::ArtifactTable() { table_ = {sizeof table_, 0, this, write}; }

esp_status ArtifactTable::write(void* ctx, esp_str name, const uint8_t* data, uint64_t size) {
  return contained([&] {
    auto& self = *static_cast<ArtifactTable*>(ctx);
    if (!is_file_name(view(name)))
      return fail("artifact: '" + printable(view(name)) + "' is no name of letters, digits, '.', '-' and '_'");
    if (size > 0 && data == nullptr) return fail("artifact: the data is at null");
    if (size > kMostArtifactBytes || self.bytes_ + size > kMostArtifactBytes)
      return fail("artifact: more than 64 MiB in one call");
    self.bytes_ += size;
    self.files_[std::string(view(name))].assign(reinterpret_cast<const char*>(data), size);
    return esp_status{ESP_OK};
  });
}

GraphTable::GraphTable(const model::BlockTree& tree) : tree_(tree) { table_ = {sizeof table_, 0, this, count, get}; }

const Graph& GraphTable::graph() {
  if (!graph_) {
    model::GraphOptions options;
    if (tree_.config.sample_size <= 0) options.height = options.width = 64;
    graph_ = model::build_graph(tree_, options);
  }
  return *graph_;
}

uint64_t GraphTable::count(void* ctx) {
  uint64_t nodes = 0;
  contained([&] { nodes = static_cast<GraphTable*>(ctx)->graph().nodes().size(); });
  return nodes;
}

esp_status GraphTable::get(void* ctx, uint64_t index, esp_graph_node* out) {
  return contained([&] {
    auto& self = *static_cast<GraphTable*>(ctx);
    const Graph& graph = self.graph();
    if (index >= graph.nodes().size() || out == nullptr)
      return fail("graph-read: there are " + std::to_string(graph.nodes().size()) + " nodes, asked for number " +
                  std::to_string(index));
    const Node& node = graph.node(index);
    esp_graph_node made{};
    made.struct_size = sizeof made;
    made.kind = node.kind == NodeKind::kOp      ? ESP_NODE_OP
                : node.kind == NodeKind::kInput ? ESP_NODE_INPUT
                : node.kind == NodeKind::kParam ? ESP_NODE_PARAM
                                                : ESP_NODE_CONSTANT;
    self.operands_.clear();
    std::vector<bool> is_param;
    for (const Value v : node.inputs) {
      self.operands_.push_back(v.present() ? static_cast<int64_t>(graph.info(v).node) : -1);
      is_param.push_back(v.present() && graph.def(v).kind == NodeKind::kParam);
    }
    self.path_ = node.kind == NodeKind::kOp ? node.path : node.label;
    if (node.kind == NodeKind::kOp) {
      self.call_ = graph.call(node);
    } else {
      self.call_.emplace();
      for (const Value v : node.results) self.call_->results.push_back(graph.type(v));
    }
    self.node_view_ = std::make_unique<NodeView>(*self.call_, self.path_, is_param);
    made.node = self.node_view_->node();
    made.operands = self.operands_.data();
    *out = made;
    return esp_status{ESP_OK};
  });
}

namespace {

std::vector<prune::UnitName> names_of(const esp_unit_name* units, uint64_t count) {
  if (count > 0 && units == nullptr) throw UserError("calibration: the units are at null");
  std::vector<prune::UnitName> names;
  for (uint64_t i = 0; i < count; ++i)
    names.push_back({std::string(view(units[i].path)), static_cast<prune::UnitKind>(units[i].kind)});
  return names;
}

/// Runs f; a stop by the user is a status of its own.
template <typename F>
esp_status interruptible(F&& f) {
  return contained([&] {
    try {
      f();
      return esp_status{ESP_OK};
    } catch (const Interrupted& stopped) {
      fail(stopped.what());
      return esp_status{ESP_CANCELLED};
    }
  });
}

}  // namespace

CalibrationTables::CalibrationTables(prune::CalibrationPtr calibration) : calibration_(std::move(calibration)) {
  const uint64_t batches = calibration_ ? static_cast<uint64_t>(calibration_->batches()) : 0;
  evaluate_ = {sizeof evaluate_, 0, this, batches, evaluate};
  gradients_ = {sizeof gradients_, 0, this, batches, gradients};
  statistics_ = {sizeof statistics_, 0, this, batches, statistics};
  latency_ = {sizeof latency_, 0, this, latency};
}

void CalibrationTables::add_to(Services& services) const {
  if (calibration_ == nullptr) return;
  services.add(ESP_EVALUATE_SERVICE, &evaluate_);
  services.add(ESP_GATE_GRADIENTS_SERVICE, &gradients_);
  services.add(ESP_STATISTICS_SERVICE, &statistics_);
  services.add(ESP_LATENCY_SERVICE, &latency_);
}

esp_status CalibrationTables::evaluate(void* ctx, const esp_unit_name* units, const uint64_t* starts, uint64_t set_count,
                                       esp_score* scores) {
  return interruptible([&] {
    if (set_count > 0 && (starts == nullptr || scores == nullptr)) throw UserError("evaluate: sets or scores are at null");
    std::vector<std::vector<prune::UnitName>> sets;
    for (uint64_t i = 0; i < set_count; ++i) {
      if (starts[i + 1] < starts[i]) throw UserError("evaluate: the starts of the sets do not ascend");
      sets.push_back(names_of(units == nullptr ? nullptr : units + starts[i], starts[i + 1] - starts[i]));
    }
    const std::vector<prune::Score> made = static_cast<CalibrationTables*>(ctx)->calibration_->evaluate(sets);
    for (uint64_t i = 0; i < set_count; ++i) scores[i] = {made[i].task, made[i].output};
  });
}

esp_status CalibrationTables::gradients(void* ctx, const esp_unit_name* units, uint64_t unit_count, double* gradients,
                                        double* magnitudes) {
  return interruptible([&] {
    const auto made = static_cast<CalibrationTables*>(ctx)->calibration_->gate_gradients(names_of(units, unit_count));
    for (uint64_t i = 0; i < unit_count; ++i) {
      if (gradients != nullptr) gradients[i] = made[i].mean;
      if (magnitudes != nullptr) magnitudes[i] = made[i].magnitude;
    }
  });
}

esp_status CalibrationTables::statistics(void* ctx, const esp_unit_name* units, uint64_t unit_count, esp_unit_statistics* out) {
  return interruptible([&] {
    if (unit_count > 0 && out == nullptr) throw UserError("statistics: the results are at null");
    const auto made = static_cast<CalibrationTables*>(ctx)->calibration_->statistics(names_of(units, unit_count));
    for (uint64_t i = 0; i < unit_count; ++i) out[i] = {made[i].cosine, made[i].relative_norm};
  });
}

esp_status CalibrationTables::latency(void* ctx, const esp_unit_name* units, uint64_t unit_count, double* ms, double* whole) {
  return interruptible([&] {
    if (unit_count > 0 && ms == nullptr) throw UserError("latency: the results are at null");
    double of_model = 0;
    const auto made = static_cast<CalibrationTables*>(ctx)->calibration_->latency(names_of(units, unit_count), of_model);
    std::copy(made.begin(), made.end(), ms);
    if (whole != nullptr) *whole = of_model;
  });
}

}  // namespace espalier::plugins
