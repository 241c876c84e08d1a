#pragma once
// The tables behind a prune view: weights, metrics, artifacts, the graph, calibration.

#include <espalier/calibration.h>
#include <espalier/host.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/tensor_source.h"
#include "core/prune/strategy.h"
#include "plugins/node_view.h"
#include "plugins/services.h"

namespace espalier::plugins {

/// Weights of a model as plugins read them. Must outlive the table.
class WeightsTable {
 public:
  explicit WeightsTable(io::TensorSourcePtr source);
  WeightsTable(const WeightsTable&) = delete;
  WeightsTable& operator=(const WeightsTable&) = delete;
  const esp_weights* table() const { return &table_; }

 private:
  const std::vector<const std::string*>& under(std::string_view path);
  static uint64_t count(void* ctx, esp_str path);
  static esp_status describe(void* ctx, esp_str path, uint64_t index, esp_str* name, esp_tensor_type* type);
  static esp_status read_f32(void* ctx, esp_str name, float* out, uint64_t capacity);

  io::TensorSourcePtr source_;
  esp_weights table_{};
  std::string cached_path_;                       // of the last query: plugins ask count, then describe 0…count-1
  std::vector<const std::string*> cached_names_;  // the source's own strings
  bool cached_ = false;
};

/// Numbers by name.
class MetricsTable {
 public:
  explicit MetricsTable(const std::map<std::string, double>& metrics);
  MetricsTable(const MetricsTable&) = delete;
  MetricsTable& operator=(const MetricsTable&) = delete;
  const esp_metrics* table() const { return &table_; }

 private:
  static uint64_t count(void* ctx);
  static esp_status get(void* ctx, uint64_t index, esp_str* name, double* value);
  static esp_status find(void* ctx, esp_str name, double* value);
  std::vector<std::pair<std::string, double>> numbers_;
  esp_metrics table_{};
};

/// Files that a plugin hands over, by name.
class ArtifactTable {
 public:
  ArtifactTable();
  ArtifactTable(const ArtifactTable&) = delete;
  ArtifactTable& operator=(const ArtifactTable&) = delete;
  const esp_artifact* table() const { return &table_; }
  std::map<std::string, std::string> take() { return std::move(files_); }

 private:
  static esp_status write(void* ctx, esp_str name, const uint8_t* data, uint64_t size);
  std::map<std::string, std::string> files_;
  uint64_t bytes_ = 0;
  esp_artifact table_{};
};

/// The graph of a tree, built when it is first asked for.
class GraphTable {
 public:
  explicit GraphTable(const model::BlockTree& tree);
  GraphTable(const GraphTable&) = delete;
  GraphTable& operator=(const GraphTable&) = delete;
  const esp_graph_read* table() const { return &table_; }

 private:
  const Graph& graph();
  static uint64_t count(void* ctx);
  static esp_status get(void* ctx, uint64_t index, esp_graph_node* node);
  const model::BlockTree& tree_;
  std::optional<Graph> graph_;
  // Of the node that was asked for last.
  std::optional<OpCall> call_;
  std::string path_;
  std::unique_ptr<NodeView> node_view_;
  std::vector<int64_t> operands_;
  esp_graph_read table_{};
};

/// The services on real batches.
class CalibrationTables {
 public:
  explicit CalibrationTables(prune::CalibrationPtr calibration);
  CalibrationTables(const CalibrationTables&) = delete;
  CalibrationTables& operator=(const CalibrationTables&) = delete;
  void add_to(Services& services) const;

 private:
  static esp_status evaluate(void* ctx, const esp_unit_name* units, const uint64_t* starts, uint64_t set_count,
                             esp_score* scores);
  static esp_status gradients(void* ctx, const esp_unit_name* units, uint64_t unit_count, double* gradients, double* magnitudes);
  static esp_status statistics(void* ctx, const esp_unit_name* units, uint64_t unit_count, esp_unit_statistics* out);
  static esp_status latency(void* ctx, const esp_unit_name* units, uint64_t unit_count, double* ms, double* whole);
  prune::CalibrationPtr calibration_;
  esp_evaluate evaluate_{};
  esp_gate_gradients gradients_{};
  esp_statistics statistics_{};
  esp_latency latency_{};
};

}  // namespace espalier::plugins
