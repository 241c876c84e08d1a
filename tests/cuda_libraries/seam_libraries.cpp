// A seam for planning on which every shape is shown to NVIDIA's libraries, as far as they can judge it without a device: what
// they refuse has no plan. ESPALIER_CUDA_SHAPES names a file that gets a line for each shape.

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

#include "backends/cuda/described.h"
#include "backends/cuda/limits.h"
#include "backends/cuda/real/libraries.h"

namespace espalier::cuda {
namespace {

void write(std::ostream& out, const MatmulShape& s) {
  out << "product " << s.transpose_a << s.transpose_b << ' ' << s.m << 'x' << s.n << 'x' << s.k << " batch " << s.batch
      << " bias " << s.has_bias << " adds " << s.adds_c;
}
void write(std::ostream& out, const ConvShape& s) {
  const char* kinds[] = {"forward", "input's gradient", "weight's gradient"};
  out << "convolution " << kinds[static_cast<int>(s.kind)] << ' ' << s.n << 'x' << s.h << 'x' << s.w << 'x' << s.c << " o " << s.o
      << " kernel " << s.kh << " stride " << s.stride << " bias " << s.has_bias;
}
void write(std::ostream& out, const AttentionShape& s) {
  out << "attention" << (s.gradient ? "'s gradient " : " ") << s.n << " heads " << s.heads << 'x' << s.head_dim << " queries "
      << s.queries << " keys " << s.keys;
}

class Shown final : public Seam {
 public:
  Shown() : plans_(open_description(described_devices()[0])) {}
  Stream stream() override { return plans_->stream(); }
  void* allocate(uint64_t bytes) override { return plans_->allocate(bytes); }
  void release(void*) noexcept override {}
  void upload(void* to, const void* from, uint64_t bytes) override { plans_->upload(to, from, bytes); }
  void download(void* to, const void* from, uint64_t bytes) override { plans_->download(to, from, bytes); }
  void copy(void* to, const void* from, uint64_t bytes) override { plans_->copy(to, from, bytes); }
  void synchronise() override { plans_->synchronise(); }
  void begin_recording() override { plans_->begin_recording(); }
  std::unique_ptr<Recording> end_recording() override { return plans_->end_recording(); }
  void give_up_recording() noexcept override {}
  Planned<MatmulOperands> plan(const MatmulShape& shape) override { return shown<MatmulOperands>(shape); }
  Planned<ConvOperands> plan(const ConvShape& shape) override { return shown<ConvOperands>(shape); }
  Planned<AttentionOperands> plan(const AttentionShape& shape) override { return shown<AttentionOperands>(shape); }

 private:
  template <typename Operands, typename Shape>
  Planned<Operands> shown(const Shape& shape) {
    std::ostringstream line;
    write(line, shape);
    line << (shape.dtype == ESP_F32 ? " f32" : shape.dtype == ESP_F16 ? " f16" : " bf16");
    const std::string why = fault_of(shape);
    if (const char* log = std::getenv("ESPALIER_CUDA_SHAPES"); log && written_.insert(line.str()).second)
      std::ofstream(log, std::ios::app) << line.str() << (why.empty() ? "" : ": refused: " + why) << '\n';
    if (!why.empty()) return {nullptr, why};
    return plans_->plan(shape);
  }
  std::unique_ptr<Seam> plans_;
  std::set<std::string> written_;
};

}  // namespace

int device_count(std::string*) { return 1; }
DeviceFacts describe_device(int) {
  return {"libraries", "asks NVIDIA's libraries what they can say without a device", uint64_t{24} << 30, true};
}
std::unique_ptr<Seam> open_seam(int, const SeamOptions&) { return std::make_unique<Shown>(); }

}  // namespace espalier::cuda
