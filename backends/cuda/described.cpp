#include "backends/cuda/described.h"

#include <stdexcept>

#include "backends/cuda/limits.h"

namespace espalier::cuda {
namespace {

DeviceFacts facts(const char* name, const char* capability, uint64_t memory_bytes) {
  return {name, std::string("compute capability ") + capability + ", a description: it plans and runs nothing", memory_bytes,
          true};
}

template <typename Operands>
class Bound final : public Plan<Operands> {
 public:
  explicit Bound(uint64_t workspace_bytes) : workspace_bytes_(workspace_bytes) {}
  std::string engine() const override { return "described"; }
  uint64_t workspace_bytes() const override { return workspace_bytes_; }
  void run(Stream, const Operands&, void*) const override { throw std::logic_error("work was given to a described device"); }

 private:
  uint64_t workspace_bytes_;
};

class Description final : public Seam {
 public:
  explicit Description(std::string name) : name_(std::move(name)) {}
  Stream stream() override { refuse(); }
  void* allocate(uint64_t) override { refuse(); }
  void release(void*) noexcept override {}
  void upload(void*, const void*, uint64_t) override { refuse(); }
  void download(void*, const void*, uint64_t) override { refuse(); }
  void copy(void*, const void*, uint64_t) override { refuse(); }
  void synchronise() override { refuse(); }
  void begin_recording() override { refuse(); }
  std::unique_ptr<Recording> end_recording() override { refuse(); }
  void give_up_recording() noexcept override {}
  Planned<MatmulOperands> plan(const MatmulShape&) override {
    return {std::make_shared<Bound<MatmulOperands>>(kMostMatmulWorkspace), {}};
  }
  Planned<ConvOperands> plan(const ConvShape&) override { return {std::make_shared<Bound<ConvOperands>>(kMostDnnWorkspace), {}}; }
  Planned<AttentionOperands> plan(const AttentionShape& shape) override {
    if (std::string why = refusal(shape); !why.empty()) return {nullptr, std::move(why)};
    const uint64_t kept = shape.gradient ? attention_result_bytes(shape) + attention_statistics_bytes(shape) : 0;
    return {std::make_shared<Bound<AttentionOperands>>(kept + kMostDnnWorkspace), {}};
  }

 private:
  [[noreturn]] void refuse() const {
    throw std::runtime_error(name_ + " is a description of a device: nothing can be run on it");
  }
  std::string name_;
};

}  // namespace

std::span<const DeviceFacts> described_devices() {
  static const DeviceFacts all[] = {facts("A100-80GB", "8.0", uint64_t{80} << 30), facts("H100-80GB", "9.0", uint64_t{80} << 30),
                                    facts("RTX4090-24GB", "8.9", uint64_t{24} << 30)};
  return all;
}

std::unique_ptr<Seam> open_description(const DeviceFacts& device) { return std::make_unique<Description>(device.name); }

}  // namespace espalier::cuda
