#pragma once
// The thin seam between this backend and NVIDIA's libraries: device memory, streams, matrix products, convolutions, attention,
// with the libraries' own arguments. `real/` implements it on the CUDA runtime, cuBLASLt and cuDNN; tests/cuda_double computes on
// the host and checks every argument. Which of the two is linked is the only difference between the plugin and its double.

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "backends/cuda/types.h"

namespace espalier::cuda {

/// cublasLtMatmul: D[m,n] = op(A) op(B) (+ C) (+ bias[m]), column-major, accumulated in f32. A row-major [rows, columns] tensor
/// is the column-major [columns, rows] one with the same leading dimension.
struct MatmulShape {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldd = 0;  // ldd of C too
  int64_t batch = 1, stride_a = 0, stride_b = 0, stride_d = 0;
  int32_t dtype = ESP_F32;  // of A, B, C, D and the bias
  bool has_bias = false;    // CUBLASLT_EPILOGUE_BIAS: one value for each of the m rows
  bool adds_c = false;      // beta is 1
  friend auto operator<=>(const MatmulShape&, const MatmulShape&) = default;  // NOLINT(modernize-use-nullptr)
};

/// cuDNN convolutions (cross-correlation), x [n,h,w,c] and y [n,out_h,out_w,o] packed NHWC, filters [o,kh,kw,c] ("KRSC").
/// In cuDNN's order of dimensions N,C,H,W that is strides with the channel fastest.
struct ConvShape {
  enum class Kind { kForward, kGradInput, kGradWeight };
  Kind kind = Kind::kForward;
  int64_t n = 0, h = 0, w = 0, c = 0, o = 0, kh = 0, kw = 0, out_h = 0, out_w = 0;
  int64_t stride = 1, top = 0, left = 0, bottom = 0, right = 0;
  int32_t dtype = ESP_F32;
  bool has_bias = false;                                                  // forward only: [o]
  friend auto operator<=>(const ConvShape&, const ConvShape&) = default;  // NOLINT(modernize-use-nullptr)
};

/// cuDNN scaled dot-product attention, no mask, no dropout, scale 1/√head_dim. q and the result are [n, queries, heads ·
/// head_dim], k and v [n, keys, heads · head_dim], packed; cuDNN sees N,heads,tokens,head_dim by strides. `gradient`: the forward
/// pass again, for its result and statistics, then dq, dk, dv.
struct AttentionShape {
  int64_t n = 0, heads = 0, queries = 0, keys = 0, head_dim = 0;
  int32_t dtype = ESP_F16;
  bool gradient = false;
  friend auto operator<=>(const AttentionShape&, const AttentionShape&) = default;  // NOLINT(modernize-use-nullptr)
};

/// Pointers of one run, all of device memory, 16-byte aligned. Those that a shape does not have are null.
struct MatmulOperands {
  const void *a, *b, *c, *bias;
  void* d;
};
struct ConvOperands {
  const void *a, *b, *bias;  // forward: x, filters; input's gradient: dy, filters; weight's: x, dy
  void* out;
};
struct AttentionOperands {
  const void *q, *k, *v, *d;  // d: the result's cotangent
  void *out, *dq, *dk, *dv;   // out of the forward pass; the others of the gradient
};

/// A product, convolution or attention that the libraries have agreed to run. Shared by all nodes of its shape.
template <typename Operands>
class Plan {
 public:
  virtual ~Plan() = default;
  virtual std::string engine() const = 0;  // as the library names it
  virtual uint64_t workspace_bytes() const = 0;
  /// `workspace` is 64-byte aligned and of workspace_bytes.
  virtual void run(Stream stream, const Operands& at, void* workspace) const = 0;
};
template <typename Operands>
using PlanPtr = std::shared_ptr<const Plan<Operands>>;

/// A plan, or why there is none (lower case, no full stop).
template <typename Operands>
struct Planned {
  PlanPtr<Operands> plan;
  std::string refusal;
};

/// Work of a stream that was recorded, a CUDA graph. Operands are those of the recording.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void run(Stream stream) const = 0;
};

struct DeviceFacts {
  std::string name, description;
  uint64_t memory_bytes = 0;
  bool plans_only = false;  // a description
};

/// One opened device with one stream. Its methods may be called by one thread at a time.
/// Errors: std::runtime_error with the library's own words; std::bad_alloc when memory runs out.
class Seam {
 public:
  virtual ~Seam() = default;
  virtual Stream stream() = 0;
  /// Stream-ordered memory, 256-byte aligned; `release` holds until the work before it is done.
  virtual void* allocate(uint64_t bytes) = 0;
  virtual void release(void* data) noexcept = 0;
  /// Ordered in the stream. Host memory of `upload` may be reused when it returns.
  virtual void upload(void* to, const void* from, uint64_t bytes) = 0;
  virtual void download(void* to, const void* from, uint64_t bytes) = 0;
  virtual void copy(void* to, const void* from, uint64_t bytes) = 0;
  /// Waits for everything in the stream.
  virtual void synchronise() = 0;
  /// From here to end_recording, work that is given to the stream is kept and not done. Meanwhile memory is neither taken nor
  /// released, nothing goes to or comes from the host, and nothing waits. After an error nothing is kept.
  virtual void begin_recording() = 0;
  virtual std::unique_ptr<Recording> end_recording() = 0;
  virtual void give_up_recording() noexcept = 0;

  virtual Planned<MatmulOperands> plan(const MatmulShape& shape) = 0;
  virtual Planned<ConvOperands> plan(const ConvShape& shape) = 0;
  virtual Planned<AttentionOperands> plan(const AttentionShape& shape) = 0;
};

/// How many devices there are; where none, `why` gets the reason.
int device_count(std::string* why);
DeviceFacts describe_device(int index);
struct SeamOptions {
  bool tf32 = false;  // products and convolutions of f32 may round their operands to TF32 (10 bits of mantissa)
};
std::unique_ptr<Seam> open_seam(int index, const SeamOptions& options);

}  // namespace espalier::cuda
