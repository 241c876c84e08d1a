// Convolutions and attention on cuDNN, which is loaded when the first device is opened: the plugin itself loads without it.

#include <dlfcn.h>

#include "backends/cuda/limits.h"
#include "backends/cuda/real/dnn.h"
#include "backends/cuda/real/libraries.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend's own name: where it looks for the library's functions
}

namespace espalier::cuda {
namespace {

bool load_cudnn() {
  if (fe::cudnn_dlhandle == nullptr) fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  return fe::cudnn_dlhandle != nullptr;
}

class Handle {
 public:
  explicit Handle(Stream stream) {
    if (!load_cudnn()) throw std::runtime_error(std::string("cuDNN 9 cannot be loaded: ") + dlerror());
    if (const cudnnStatus_t status = fe::detail::create_handle(&handle_); status != CUDNN_STATUS_SUCCESS)
      throw std::runtime_error(std::string("cuDNN cannot be opened: ") + fe::detail::get_error_string(status));
    fe::detail::set_stream(handle_, static_cast<cudaStream_t>(stream));
  }
  ~Handle() { fe::detail::destroy_handle(handle_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  cudnnHandle_t get() const { return handle_; }

 private:
  cudnnHandle_t handle_ = nullptr;
};

using Pointers = std::unordered_map<int64_t, void*>;
void* writable(const void* data) { return const_cast<void*>(data); }  // the frontend has one type for both

/// A graph with the plan that the library's heuristic ranks first.
class Built {
 public:
  Built(std::shared_ptr<fe::graph::Graph> graph, cudnnHandle_t handle, bool exact = false)
      : graph_(std::move(graph)), handle_(handle) {
    check(graph_->validate());
    check(graph_->build_operation_graph(handle));
    check(graph_->create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}));
    if (exact) graph_->deselect_numeric_notes({fe::NumericalNote_t::TENSOR_CORE});  // those of f32 round to TF32
    graph_->deselect_workspace_greater_than(static_cast<int64_t>(kMostDnnWorkspace));
    check(graph_->check_support(handle));
    check(graph_->build_plans(handle));
    int64_t bytes = 0;
    check(graph_->get_workspace_size(bytes));
    workspace_bytes_ = static_cast<uint64_t>(bytes);
    check(graph_->get_plan_name(engine_));
  }
  void run(Pointers pointers, void* workspace) const { check(graph_->execute(handle_, pointers, workspace)); }
  uint64_t workspace_bytes() const { return rounded_to_256(workspace_bytes_); }
  const std::string& engine() const { return engine_; }

 private:
  std::shared_ptr<fe::graph::Graph> graph_;
  cudnnHandle_t handle_;
  uint64_t workspace_bytes_ = 0;
  std::string engine_;
};

class ConvPlan final : public Plan<ConvOperands> {
 public:
  ConvPlan(const ConvShape& shape, cudnnHandle_t handle, bool tf32)
      : built_(convolution_graph(shape), handle, shape.dtype == ESP_F32 && !tf32) {}
  std::string engine() const override { return built_.engine(); }
  uint64_t workspace_bytes() const override { return built_.workspace_bytes(); }
  void run(Stream, const ConvOperands& at, void* workspace) const override {
    Pointers pointers{{kDnnA, writable(at.a)}, {kDnnB, writable(at.b)}, {kDnnOut, at.out}};
    if (at.bias != nullptr) pointers[kDnnBias] = writable(at.bias);
    built_.run(std::move(pointers), workspace);
  }

 private:
  Built built_;
};

class AttentionPlan final : public Plan<AttentionOperands> {
 public:
  AttentionPlan(const AttentionShape& shape, cudnnHandle_t handle) : built_(attention_graph(shape, false), handle) {}
  std::string engine() const override { return built_.engine(); }
  uint64_t workspace_bytes() const override { return built_.workspace_bytes(); }
  void run(Stream, const AttentionOperands& at, void* workspace) const override {
    built_.run({{kDnnQ, writable(at.q)}, {kDnnK, writable(at.k)}, {kDnnV, writable(at.v)}, {kDnnOut, at.out}}, workspace);
  }

 private:
  Built built_;
};

/// The forward pass leaves its result and statistics at the start of the workspace.
class AttentionGradientPlan final : public Plan<AttentionOperands> {
 public:
  AttentionGradientPlan(const AttentionShape& s, cudnnHandle_t handle)
      : forward_(attention_graph(s, true), handle),
        backward_(attention_gradient_graph(s), handle),
        out_bytes_(attention_result_bytes(s)),
        statistics_bytes_(attention_statistics_bytes(s)) {}
  std::string engine() const override { return forward_.engine() + " + " + backward_.engine(); }
  uint64_t workspace_bytes() const override {
    return out_bytes_ + statistics_bytes_ + std::max(forward_.workspace_bytes(), backward_.workspace_bytes());
  }
  void run(Stream, const AttentionOperands& at, void* workspace) const override {
    void* const statistics = static_cast<char*>(workspace) + out_bytes_;
    void* const rest = static_cast<char*>(statistics) + statistics_bytes_;
    Pointers pointers{{kDnnQ, writable(at.q)},
                      {kDnnK, writable(at.k)},
                      {kDnnV, writable(at.v)},
                      {kDnnOut, workspace},
                      {kDnnStatistics, statistics}};
    forward_.run(pointers, rest);
    pointers.insert({{kDnnD, writable(at.d)}, {kDnnGradQ, at.dq}, {kDnnGradK, at.dk}, {kDnnGradV, at.dv}});
    backward_.run(std::move(pointers), rest);
  }

 private:
  Built forward_, backward_;
  uint64_t out_bytes_, statistics_bytes_;
};

class Cudnn final : public Dnn {
 public:
  Cudnn(Stream stream, bool tf32) : tf32_(tf32), handle_(stream) {}
  Planned<ConvOperands> plan(const ConvShape& shape) override { return make<ConvPlan, ConvOperands>(shape, tf32_); }
  Planned<AttentionOperands> plan(const AttentionShape& shape) override {
    if (std::string why = refusal(shape); !why.empty()) return {nullptr, std::move(why)};
    return shape.gradient ? make<AttentionGradientPlan, AttentionOperands>(shape) : make<AttentionPlan, AttentionOperands>(shape);
  }

 private:
  template <typename P, typename Operands, typename Shape, typename... More>
  Planned<Operands> make(const Shape& shape, More... more) {
    try {
      return {std::make_shared<P>(shape, handle_.get(), more...), {}};
    } catch (const std::runtime_error& error) {
      return {nullptr, std::string("cuDNN: ") + error.what()};
    }
  }
  bool tf32_;
  Handle handle_;
};

}  // namespace

std::unique_ptr<Dnn> open_cudnn(Stream stream, const SeamOptions& options) {
  return std::make_unique<Cudnn>(stream, options.tf32);
}

namespace {

/// The frontend knows what the library's release takes on which generation; which engines a device has for it is not asked.
/// `make(capability)`: the graphs.
template <typename Make>
std::string fault_of_graphs(const Make& make) {
  if (!load_cudnn()) return std::string("cuDNN 9 cannot be loaded: ") + dlerror();
  for (const int32_t capability : {80, 89, 90})
    for (const std::shared_ptr<fe::graph::Graph>& graph : make(capability))
      if (fe::error_t status = graph->validate(); status.is_bad()) return status.get_message();
  return {};
}

}  // namespace

std::string fault_of(const ConvShape& shape) {
  return fault_of_graphs([&](int32_t capability) { return std::vector{convolution_graph(shape, capability)}; });
}
std::string fault_of(const AttentionShape& shape) {
  if (std::string why = refusal(shape); !why.empty()) return why;
  return fault_of_graphs([&](int32_t capability) {
    if (!shape.gradient) return std::vector{attention_graph(shape, false, capability)};
    return std::vector{attention_graph(shape, true, capability), attention_gradient_graph(shape, capability)};
  });
}

std::string cudnn_release() {
  if (!load_cudnn()) return {};
  const size_t release = fe::detail::get_backend_version();
  return std::to_string(release / 10000) + "." + std::to_string(release / 100 % 100) + "." + std::to_string(release % 100);
}

}  // namespace espalier::cuda
