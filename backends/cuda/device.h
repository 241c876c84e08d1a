#pragma once
// What an opened device is: the seam, parameters with their copies in device memory, and the kernel table.

#include <espalier/sdk/backend.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "backends/cuda/seam.h"

namespace espalier::cuda {

class Device;

/// A block of device memory.
class Memory {
 public:
  Memory(Seam& seam, uint64_t bytes) : seam_(&seam), data_(seam.allocate(bytes)) {}
  ~Memory() { seam_->release(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() const { return data_; }

 private:
  Seam* seam_;
  void* data_;
};

/// How a copy of a parameter lies in memory: as in the file, or a filter [o,c,kh,kw] as [o,kh,kw,c].
enum class Layout { kFile, kChannelsLast };

/// A parameter of the model: the file's bytes on the host, and copies on the device, one for each element type and layout.
class Param {
 public:
  explicit Param(const esp_host_param& host) : host_(host) {}
  const esp_tensor_type& type() const { return host_.type; }
  /// The copy, uploaded and converted when it is first asked for. A mapped parameter's lasts until the end of the run.
  const void* get(Device& device, int32_t dtype, Layout layout);
  void end_of_run();

 private:
  esp_host_param host_;
  std::map<std::pair<int32_t, Layout>, std::unique_ptr<Memory>> copies_;
};

class Device {
 public:
  using param = Param;
  using memory = Memory;
  using recording = Recording;

  explicit Device(std::unique_ptr<Seam> seam, bool graphs = true) : seam_(std::move(seam)), graphs_(graphs) {}

  static const esp::kernel_table<Device>& kernels();
  std::string_view prefer() const { return {}; }
  std::unique_ptr<Memory> allocate(uint64_t bytes) { return std::make_unique<Memory>(*seam_, bytes); }
  std::unique_ptr<Param> make_param(const esp_host_param& host) { return std::make_unique<Param>(host); }
  /// Either side may be the host's.
  void copy(void* to, const void* from, uint64_t bytes);

  /// Around every run: executables of one device take turns, and mapped parameters go at its end, however it ends.
  class RunScope {
   public:
    explicit RunScope(Device& device) : lock_(device.run_mutex_), device_(device) { device.uploads_ = false; }
    ~RunScope() { device_.end_lending(); }
    RunScope(const RunScope&) = delete;
    RunScope& operator=(const RunScope&) = delete;

   private:
    std::lock_guard<std::mutex> lock_;
    Device& device_;
  };
  using run_scope = RunScope;
  /// Waits for the stream.
  void finish_run() { seam_->synchronise(); }

  /// A run whose steps only gave work to the stream can be recorded. Not so the one that uploads parameters.
  bool can_record() const { return graphs_ && !uploads_; }
  void begin_recording() { seam_->begin_recording(); }
  std::unique_ptr<Recording> end_recording() { return seam_->end_recording(); }
  void give_up_recording() noexcept { seam_->give_up_recording(); }
  void replay(const Recording& recording) { recording.run(stream()); }

  Seam& seam() const { return *seam_; }
  Stream stream() const { return seam_->stream(); }
  /// Numbers in device memory that are made once and stay.
  const float* constant(const std::string& name, std::vector<float> (*make)());
  /// Remembers a parameter whose copy lasts for this run only.
  void lend(Param& param) { lent_.push_back(&param); }
  /// This run has taken memory or read the host's.
  void note_upload() { uploads_ = true; }

 private:
  void end_lending();

  std::unique_ptr<Seam> seam_;
  bool graphs_, uploads_ = false;
  std::map<std::string, std::unique_ptr<Memory>> constants_;
  std::vector<Param*> lent_;
  std::mutex run_mutex_;
};

using Node = esp::node;
using Verdict = esp::verdict;
using Operands = esp::operands<Device>;
using Kernel = esp::kernel<Device>;
using Step = esp::step<Device>;
using StepPtr = std::unique_ptr<Step>;

}  // namespace espalier::cuda
