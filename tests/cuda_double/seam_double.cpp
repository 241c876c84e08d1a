// The seam without a GPU. Computes at once, and refuses what a device would: an operand that is not whole in one live block of
// device memory, or that is the host's; a misaligned one; a block that is let go of twice or never; the wrong stream; results
// that overlap operands; a workspace that something else reads (it is scribbled over); memory, copies with the host and waits
// within a recording. New memory holds NaN.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "backends/cuda/emulate/fibers.h"
#include "backends/cuda/limits.h"
#include "backends/cuda/seam.h"
#include "tests/cuda_double/compute.h"

namespace espalier::cuda {
namespace {

using testing::compute;

constexpr uint64_t kAlignment = 256, kWorkspace = 192;

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error("cuda double: " + what); }

class Blocks {
 public:
  ~Blocks() {
    if (live_.empty()) return;
    std::fprintf(stderr, "cuda double: %zu blocks of device memory were never released\n", live_.size());
    std::abort();
  }
  void* allocate(uint64_t bytes) {
    const uint64_t rounded = (std::max<uint64_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    void* data = std::aligned_alloc(kAlignment, rounded);
    if (data == nullptr) throw std::bad_alloc();
    std::memset(data, 0xff, rounded);
    live_[static_cast<const char*>(data)] = bytes;
    return data;
  }
  void release(void* data) {
    if (live_.erase(static_cast<const char*>(data)) == 0) {
      std::fprintf(stderr, "cuda double: a block is released that is not there\n");
      std::abort();
    }
    std::free(data);
  }
  /// Whether all `bytes` at `data` lie in one live block.
  bool holds(const void* data, uint64_t bytes) const {
    auto at = live_.upper_bound(static_cast<const char*>(data));
    if (at == live_.begin()) return false;
    --at;
    const auto offset = static_cast<uint64_t>(static_cast<const char*>(data) - at->first);
    return offset < std::max<uint64_t>(at->second, 1) && bytes <= at->second - offset;
  }
  bool knows(const void* data) const { return holds(data, 0); }

 private:
  std::map<const char*, uint64_t> live_;
};

struct Range {
  const void* data;
  int64_t elements;
  const char* name;
};

using Launches = std::vector<std::function<void()>>;

/// Does work now, or keeps it where a recording is on.
struct Tape {
  std::unique_ptr<Launches> kept;
  void give(std::function<void()> work) {
    if (kept == nullptr) return work();
    kept->push_back(std::move(work));
  }
};

class DoubleRecording final : public Recording {
 public:
  DoubleRecording(Launches launches, Stream stream) : launches_(std::move(launches)), stream_(stream) {}
  void run(Stream stream) const override {
    if (stream != stream_) refuse("a recording on a stream that is not the device's");
    for (const auto& launch : launches_) launch();
    if (const char* log = std::getenv("ESPALIER_CUDA_DOUBLE_LOG"))  // how a test sees that runs are replayed
      std::ofstream(log, std::ios::app) << "replay " << launches_.size() << '\n';
  }

 private:
  Launches launches_;
  Stream stream_;
};

template <typename Shape, typename Operands>
class DoublePlan final : public Plan<Operands> {
 public:
  DoublePlan(const Shape& shape, const Blocks& blocks, Stream stream, Tape& tape)
      : shape_(shape), blocks_(blocks), stream_(stream), tape_(tape) {}
  std::string engine() const override { return "double"; }
  uint64_t workspace_bytes() const override { return kWorkspace; }
  void run(Stream stream, const Operands& at, void* workspace) const override {
    if (stream != stream_) refuse("work on a stream that is not the device's");
    tape_.give([this, at, workspace] { run_now(at, workspace); });
  }

 private:
  void run_now(const Operands& at, void* workspace) const {
    const auto [in, out] = ranges(shape_, at);
    const uint64_t each = shape_.dtype == ESP_F32 ? 4 : 2;
    const auto need = [&](const Range& range, uint64_t bytes) {
      if (range.data == nullptr) refuse(std::string(range.name) + " is missing");
      if (reinterpret_cast<uintptr_t>(range.data) % 16 != 0) refuse(std::string(range.name) + " is not 16-byte aligned");
      if (!blocks_.holds(range.data, bytes)) refuse(std::string(range.name) + " does not lie in one live block of device memory");
    };
    for (const auto* side : {&in, &out})
      for (const Range& range : *side) need(range, static_cast<uint64_t>(range.elements) * each);
    need({workspace, 0, "the workspace"}, kWorkspace);
    for (const Range& result : out)
      for (const Range& operand : in) {
        if (std::string_view(operand.name) == "C" && operand.data == result.data) continue;  // the library allows it in place
        const auto begin = [](const Range& r) { return reinterpret_cast<uintptr_t>(r.data); };
        if (begin(result) < begin(operand) + static_cast<uint64_t>(operand.elements) * each &&
            begin(operand) < begin(result) + static_cast<uint64_t>(result.elements) * each)
          refuse(std::string(result.name) + " overlaps " + operand.name);
      }
    std::memset(workspace, 0xff, kWorkspace);
    compute(shape_, at);
  }

  using Ranges = std::pair<std::vector<Range>, std::vector<Range>>;
  static Ranges ranges(const MatmulShape& s, const MatmulOperands& at) {
    const auto span = [](bool transposed, int64_t ld, int64_t rows, int64_t columns, int64_t batch, int64_t stride) {
      return (batch - 1) * stride + (transposed ? (rows - 1) * ld + columns : (columns - 1) * ld + rows);
    };
    const int64_t d = span(false, s.ldd, s.m, s.n, s.batch, s.stride_d);
    Ranges all{{{at.a, span(s.transpose_a, s.lda, s.m, s.k, s.batch, s.stride_a), "A"},
                {at.b, span(s.transpose_b, s.ldb, s.k, s.n, s.batch, s.stride_b), "B"}},
               {{at.d, d, "D"}}};
    if (s.adds_c) all.first.push_back({at.c, d, "C"});
    if (s.has_bias) all.first.push_back({at.bias, s.m, "the bias"});
    return all;
  }
  static Ranges ranges(const ConvShape& s, const ConvOperands& at) {
    const int64_t x = s.n * s.h * s.w * s.c, y = s.n * s.out_h * s.out_w * s.o, w = s.o * s.kh * s.kw * s.c;
    using Kind = ConvShape::Kind;
    Ranges all{{{at.a, s.kind == Kind::kGradInput ? y : x, "the first operand"},
                {at.b, s.kind == Kind::kGradWeight ? y : w, "the second operand"}},
               {{at.out,
                 s.kind == Kind::kForward     ? y
                 : s.kind == Kind::kGradInput ? x
                                              : w,
                 "the result"}}};
    if (s.has_bias) all.first.push_back({at.bias, s.o, "the bias"});
    return all;
  }
  static Ranges ranges(const AttentionShape& s, const AttentionOperands& at) {
    const int64_t q = s.n * s.queries * s.heads * s.head_dim, k = s.n * s.keys * s.heads * s.head_dim;
    Ranges all{{{at.q, q, "q"}, {at.k, k, "k"}, {at.v, k, "v"}}, {}};
    if (s.gradient) {
      all.first.push_back({at.d, q, "the cotangent"});
      all.second = {{at.dq, q, "dq"}, {at.dk, k, "dk"}, {at.dv, k, "dv"}};
    } else {
      all.second = {{at.out, q, "the result"}};
    }
    return all;
  }

  Shape shape_;
  const Blocks& blocks_;
  Stream stream_;
  Tape& tape_;
};

/// What the libraries would refuse, or an empty text.
std::string fault(const MatmulShape& s) {
  const auto bad = [](bool transposed, int64_t ld, int64_t rows, int64_t columns) { return ld < (transposed ? columns : rows); };
  if (s.m < 1 || s.n < 1 || s.k < 1 || s.batch < 1) return "an extent of the product is 0";
  if (bad(s.transpose_a, s.lda, s.m, s.k) || bad(s.transpose_b, s.ldb, s.k, s.n) || s.ldd < s.m)
    return "a leading dimension is too small";
  if (s.batch > 1 && s.stride_d < s.ldd * (s.n - 1) + s.m) return "results of a batch overlap";
  return {};
}
std::string fault(const ConvShape& s) {
  for (int64_t extent : {s.n, s.h, s.w, s.c, s.o, s.kh, s.kw, s.out_h, s.out_w, s.stride})
    if (extent < 1) return "an extent of the convolution is 0";
  for (int64_t pad : {s.top, s.left, s.bottom, s.right})
    if (pad < 0) return "padding is negative";
  if ((s.h + s.top + s.bottom - s.kh) / s.stride + 1 != s.out_h || (s.w + s.left + s.right - s.kw) / s.stride + 1 != s.out_w)
    return "the result's extents are not those of the convolution";
  if (s.has_bias && s.kind != ConvShape::Kind::kForward) return "a gradient has no bias";
  return {};
}
std::string fault(const AttentionShape& s) {
  if (s.n < 1 || s.heads < 1 || s.queries < 1 || s.keys < 1) return "an extent of the attention is 0";
  return refusal(s);
}

class SeamDouble final : public Seam {
 public:
  Stream stream() override { return &token_; }
  void* allocate(uint64_t bytes) override {
    not_while_recording("memory is taken");
    return blocks_.allocate(bytes);
  }
  void release(void* data) noexcept override {
    if (tape_.kept != nullptr) std::fprintf(stderr, "cuda double: memory is released within a recording\n"), std::abort();
    blocks_.release(data);
  }
  void upload(void* to, const void* from, uint64_t bytes) override {
    not_while_recording("an upload");
    if (bytes != 0 && (!blocks_.holds(to, bytes) || blocks_.knows(from)))
      refuse("an upload that is not from the host to the device");
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void download(void* to, const void* from, uint64_t bytes) override {
    not_while_recording("a download");
    if (bytes != 0 && (blocks_.knows(to) || !blocks_.holds(from, bytes)))
      refuse("a download that is not from the device to the host");
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void copy(void* to, const void* from, uint64_t bytes) override {
    if (tape_.kept != nullptr && bytes != 0 && !(blocks_.knows(to) && blocks_.knows(from)))
      refuse("a copy from or to the host within a recording");
    tape_.give([this, to, from, bytes] {
      for (const void* side : {static_cast<const void*>(to), from})
        if (blocks_.knows(side) && !blocks_.holds(side, bytes)) refuse("a copy past the end of a block");
      if (bytes != 0) std::memmove(to, from, bytes);
    });
  }
  void synchronise() override { not_while_recording("a wait"); }
  void begin_recording() override {
    not_while_recording("a recording");
    tape_.kept = std::make_unique<Launches>();
    emulate::record(tape_.kept.get());
  }
  std::unique_ptr<Recording> end_recording() override {
    if (tape_.kept == nullptr) refuse("a recording is ended that was not begun");
    emulate::record(nullptr);
    return std::make_unique<DoubleRecording>(std::move(*std::exchange(tape_.kept, nullptr)), stream());
  }
  void give_up_recording() noexcept override {
    emulate::record(nullptr);
    tape_.kept.reset();
  }
  Planned<MatmulOperands> plan(const MatmulShape& shape) override { return make<MatmulOperands>(shape); }
  Planned<ConvOperands> plan(const ConvShape& shape) override { return make<ConvOperands>(shape); }
  Planned<AttentionOperands> plan(const AttentionShape& shape) override { return make<AttentionOperands>(shape); }

 private:
  template <typename Operands, typename Shape>
  Planned<Operands> make(const Shape& shape) {
    if (std::string why = fault(shape); !why.empty()) return {nullptr, std::move(why)};
    return {std::make_shared<DoublePlan<Shape, Operands>>(shape, blocks_, stream(), tape_), {}};
  }
  void not_while_recording(const char* what) const {
    if (tape_.kept != nullptr) refuse(std::string(what) + " within a recording");
  }
  char token_ = 0;
  Blocks blocks_;
  Tape tape_;
};

}  // namespace

int device_count(std::string*) { return 1; }
DeviceFacts describe_device(int) { return {"cuda double", "computes on the host and checks every argument", uint64_t{8} << 30}; }
std::unique_ptr<Seam> open_seam(int, const SeamOptions&) {
  const char* order = std::getenv("ESPALIER_EMULATE_ORDER");
  emulate::set_order(order ? std::strtoull(order, nullptr, 10) : 0);
  return std::make_unique<SeamDouble>();
}

}  // namespace espalier::cuda
