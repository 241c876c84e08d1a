#pragma once
// One call on a backend: the op alone in a graph, run by the executor as any other graph is.

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/half.h"
#include "core/exec/executor.h"
#include "core/io/tensor_source.h"
#include "core/ir/builder.h"
#include "core/lower/lower.h"
#include "plugins/backend_adapter.h"
#include "plugins/registry.h"

namespace espalier::testing {

/// A plugin of the build tree, in `file` of it (empty: where plugins go). The registry loads it once for the process.
inline const plugins::Component& backend_component(const std::string& name, const std::string& file = "") {
  static std::map<std::string, std::unique_ptr<plugins::Registry>> registries;
  auto& registry = registries[name + file];
  if (!registry) {
    plugins::SearchRequest request;
    request.files.push_back(std::filesystem::path(ESPALIER_BUILD_DIR) / (file.empty() ? "plugins/" + name + ".esp.so" : file));
    registry = std::make_unique<plugins::Registry>(request);
  }
  return registry->find_backend(name);
}
/// The cuda backend with a double in place of NVIDIA's libraries; on a machine with a GPU, ESPALIER_CUDA_PLUGIN names the plugin
/// itself, and the same tests are of the device.
inline const std::string kCudaDouble =
    std::getenv("ESPALIER_CUDA_PLUGIN") ? std::getenv("ESPALIER_CUDA_PLUGIN") : "test_plugins/cuda_double.esp.so";

/// Opens it with `sets`, each "key=value".
inline std::shared_ptr<lower::Backend> open_backend(const std::string& name, const std::vector<std::string>& sets,
                                                    const std::string& file = "") {
  const plugins::Component& component = backend_component(name, file);
  ErrorList errors;
  plugins::ParamInput input;
  input.sets = sets;
  const plugins::ParamValues values = plugins::resolve_params(component.params, input, component.id, errors);
  errors.throw_if_any();
  return plugins::open_backend(component, values);
}

/// `values` as memory of `dtype`.
inline std::vector<std::byte> to_bytes(DType dtype, std::span<const double> values) {
  std::vector<std::byte> bytes(size_of(dtype) * values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto put = [&](auto value) { std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value); };
    switch (dtype) {
      case DType::kF32:
        put(static_cast<float>(values[i]));
        break;
      case DType::kF16:
        put(f32_to_f16(static_cast<float>(values[i])));
        break;
      case DType::kBF16:
        put(f32_to_bf16(static_cast<float>(values[i])));
        break;
      case DType::kF64:
        put(values[i]);
        break;
      case DType::kI32:
        put(static_cast<int32_t>(values[i]));
        break;
      case DType::kI64:
        put(static_cast<int64_t>(values[i]));
        break;
      default:
        put(static_cast<uint8_t>(values[i]));
        break;
    }
  }
  return bytes;
}

inline std::vector<double> to_doubles(DType dtype, const std::vector<std::byte>& bytes) {
  std::vector<double> values(bytes.size() / size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto get = [&](auto value) {
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      return value;
    };
    switch (dtype) {
      case DType::kF32:
        values[i] = get(float{});
        break;
      case DType::kF16:
        values[i] = f16_to_f32(get(uint16_t{}));
        break;
      case DType::kBF16:
        values[i] = bf16_to_f32(get(uint16_t{}));
        break;
      case DType::kF64:
        values[i] = get(double{});
        break;
      case DType::kI32:
        values[i] = get(int32_t{});
        break;
      case DType::kI64:
        values[i] = static_cast<double>(get(int64_t{}));
        break;
      default:
        values[i] = get(uint8_t{});
        break;
    }
  }
  return values;
}

/// Tensors in memory.
class MemorySource final : public io::TensorSource {
 public:
  void add(const std::string& name, TensorType type, std::vector<std::byte> bytes) {
    names_.push_back(name);
    tensors_[name] = {std::move(type), std::move(bytes)};
  }
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return tensors_.count(std::string(name)) != 0; }
  io::TensorRef get(std::string_view name) const override {
    const auto& [type, bytes] = tensors_.at(std::string(name));
    return {type, bytes};
  }
  void drop_pages(std::string_view) const override { ++dropped; }
  std::string describe() const override { return "memory"; }
  mutable int dropped = 0;

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::pair<TensorType, std::vector<std::byte>>> tensors_;
};

struct OneOpOptions {
  std::vector<bool> params = {};    // operands that are parameters; shorter: the rest are inputs
  DType param_dtype = DType::kF32;  // as the file has them
  bool mapped = false;
};

struct OneOpRun {
  lower::Call call;  // with its kernel and refusals; nothing ran unless on_backend
  std::vector<std::vector<std::byte>> outputs;
  int dropped = 0;  // how often parameters' pages were dropped
};

/// Runs `call` (types and attributes complete) on `backend` with operands `data`.
inline OneOpRun run_one_op(const std::shared_ptr<lower::Backend>& backend, const OpCall& call,
                           const std::vector<std::vector<double>>& data, const OneOpOptions& options = {}) {
  auto graph = std::make_shared<Graph>();
  Builder b(*graph);
  auto source = std::make_shared<MemorySource>();
  std::vector<std::vector<std::byte>> inputs;
  std::vector<Value> values;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.inputs[i].present()) {
      values.push_back({});
      continue;
    }
    const std::string name = "x" + std::to_string(i);
    if (i < options.params.size() && options.params[i]) {
      values.push_back(b.param(name, call.inputs[i]));
      source->add(name, {options.param_dtype, call.inputs[i].shape}, to_bytes(options.param_dtype, data[i]));
    } else {
      values.push_back(b.input(name, call.inputs[i]));
      inputs.push_back(to_bytes(call.inputs[i].dtype, data[i]));
    }
  }
  Node node;
  node.op = call.op;
  node.inputs = values;
  node.attrs = call.attrs;
  node.path = "test";
  const size_t made = graph->append(node, call.results);
  for (Value result : graph->node(made).results) b.output("y" + std::to_string(result.id), result);

  OneOpRun run;
  lower::CallList list = lower::lower(graph, {backend.get()});
  if (list.calls.size() != 1) {
    run.call.kernel = "view";
    return run;
  }
  run.call = list.calls[0];
  if (!run.call.on_backend) return run;
  exec::Executor executor(std::move(list), backend, source, {options.mapped, false});
  std::vector<const void*> in;
  for (const auto& bytes : inputs) in.push_back(bytes.data());
  std::vector<void*> out;
  for (const TensorType& type : call.results) run.outputs.emplace_back(type.bytes());
  for (auto& bytes : run.outputs) out.push_back(bytes.data());
  const std::vector<std::vector<std::byte>> given = inputs;
  executor.run(in, out);
  for (size_t i = 0; i < inputs.size(); ++i) std::copy(given[i].begin(), given[i].end(), inputs[i].begin());  // ops in place
  executor.run(in, out);  // packed copies are reused the second time
  run.dropped = source->dropped;
  return run;
}

}  // namespace espalier::testing
