// The seam on the CUDA runtime. Device memory comes from the device's stream-ordered pool, which keeps what it has; host memory
// goes through one pinned buffer, so that copies run at the bus's rate.

#include "backends/cuda/seam.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "backends/cuda/real/cuda_error.h"
#include "backends/cuda/real/libraries.h"

namespace espalier::cuda {
namespace {

constexpr uint64_t kPinnedBytes = 8 << 20;

class RealRecording final : public Recording {
 public:
  explicit RealRecording(cudaGraphExec_t graph) : graph_(graph) {}
  ~RealRecording() override { cudaGraphExecDestroy(graph_); }
  void run(Stream stream) const override {
    check(cudaGraphLaunch(graph_, static_cast<cudaStream_t>(stream)), "the launch of a CUDA graph");
  }

 private:
  cudaGraphExec_t graph_;
};

class RealSeam final : public Seam {
 public:
  RealSeam(int device, const SeamOptions& options) : device_(device) {
    use();
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
    check(cudaMallocHost(&pinned_, kPinnedBytes), "pinned memory");
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, device), "the device's memory pool");
    uint64_t keep = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "the device's memory pool");
    matmuls_ = open_cublaslt(options);
    dnn_ = open_cudnn(stream_, options);
  }
  ~RealSeam() override {
    cudaSetDevice(device_);
    conv_plans_.clear(), attention_plans_.clear(), matmul_plans_.clear();
    dnn_.reset(), matmuls_.reset();
    cudaFreeHost(pinned_);
    cudaStreamDestroy(stream_);
  }

  Stream stream() override { return stream_; }
  void* allocate(uint64_t bytes) override {
    use();
    void* data = nullptr;
    check(cudaMallocAsync(&data, std::max<uint64_t>(bytes, 1), stream_), "device memory");
    return data;
  }
  void release(void* data) noexcept override {
    cudaSetDevice(device_);
    cudaFreeAsync(data, stream_);
  }
  void upload(void* to, const void* from, uint64_t bytes) override {
    by_parts(bytes, [&](uint64_t first, uint64_t count) {
      std::memcpy(pinned_, static_cast<const char*>(from) + first, count);
      check(cudaMemcpyAsync(static_cast<char*>(to) + first, pinned_, count, cudaMemcpyHostToDevice, stream_), "an upload");
      synchronise();
    });
  }
  void download(void* to, const void* from, uint64_t bytes) override {
    by_parts(bytes, [&](uint64_t first, uint64_t count) {
      check(cudaMemcpyAsync(pinned_, static_cast<const char*>(from) + first, count, cudaMemcpyDeviceToHost, stream_),
            "a download");
      synchronise();
      std::memcpy(static_cast<char*>(to) + first, pinned_, count);
    });
  }
  void copy(void* to, const void* from, uint64_t bytes) override {
    const bool into_device = on_device(to), from_device = on_device(from);
    if (into_device && from_device) {
      check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "a copy");
    } else if (into_device) {
      upload(to, from, bytes);
    } else if (from_device) {
      download(to, from, bytes);
    } else {
      std::memmove(to, from, bytes);
    }
  }
  void synchronise() override {
    use();
    check(cudaStreamSynchronize(stream_), "work on the device");
  }

  void begin_recording() override {
    use();
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "the beginning of a CUDA graph");
  }
  std::unique_ptr<Recording> end_recording() override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_, &graph), "a CUDA graph");
    cudaGraphExec_t ready = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&ready, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "a CUDA graph");
    return std::make_unique<RealRecording>(ready);
  }
  void give_up_recording() noexcept override {
    cudaGraph_t graph = nullptr;
    if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess && graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();  // what broke the recording has been reported
  }
  Planned<MatmulOperands> plan(const MatmulShape& shape) override { return cached(matmul_plans_, shape, *matmuls_); }
  Planned<ConvOperands> plan(const ConvShape& shape) override { return cached(conv_plans_, shape, *dnn_); }
  Planned<AttentionOperands> plan(const AttentionShape& shape) override { return cached(attention_plans_, shape, *dnn_); }

 private:
  void use() const { check(cudaSetDevice(device_), "the device"); }
  static bool on_device(const void* data) {
    cudaPointerAttributes attributes{};
    check(cudaPointerGetAttributes(&attributes, data), "a pointer");
    return attributes.type == cudaMemoryTypeDevice;
  }
  template <typename F>
  void by_parts(uint64_t bytes, F&& f) {
    use();
    for (uint64_t first = 0; first < bytes; first += kPinnedBytes) f(first, std::min(kPinnedBytes, bytes - first));
  }
  template <typename Operands, typename Shape, typename Library>
  Planned<Operands> cached(std::map<Shape, Planned<Operands>>& plans, const Shape& shape, Library& library) {
    const auto at = plans.find(shape);
    if (at != plans.end()) return at->second;
    use();
    return plans.emplace(shape, library.plan(shape)).first->second;
  }

  int device_;
  cudaStream_t stream_ = nullptr;
  void* pinned_ = nullptr;
  std::unique_ptr<Matmuls> matmuls_;
  std::unique_ptr<Dnn> dnn_;
  std::map<MatmulShape, Planned<MatmulOperands>> matmul_plans_;
  std::map<ConvShape, Planned<ConvOperands>> conv_plans_;
  std::map<AttentionShape, Planned<AttentionOperands>> attention_plans_;
};

}  // namespace

int device_count(std::string* why) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) return count;
  if (why != nullptr) {
    *why = cudaGetErrorString(status);
    if (status == cudaErrorInsufficientDriver) *why += " (or there is no NVIDIA driver at all)";
  }
  return 0;
}

DeviceFacts describe_device(int index) {
  cudaDeviceProp facts{};
  check(cudaGetDeviceProperties(&facts, index), "the device's properties");
  const std::string dnn = cudnn_release();
  return {facts.name,
          "compute capability " + std::to_string(facts.major) + "." + std::to_string(facts.minor) + ", CUDA " +
              std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10) + ", " +
              (dnn.empty() ? "no cuDNN" : "cuDNN " + dnn),
          facts.totalGlobalMem};
}

std::unique_ptr<Seam> open_seam(int index, const SeamOptions& options) { return std::make_unique<RealSeam>(index, options); }

}  // namespace espalier::cuda
