#include "core/exec/executor.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/progress.h"
#include "core/exec/gated_calls.h"
#include "core/exec/live_ranges.h"
#include "core/exec/reference_call.h"
#include "core/exec/staging.h"

namespace espalier::exec {
namespace {

using lower::Call;
using lower::Place;
using lower::Space;

constexpr size_t kMostCalls = 64;  // of one partition that shows progress: well under a second of SDXL at latent 64x64

double ms_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

// Calls [first, last): one executable, or calls of the reference when it is null. Not run when one of `gates` is zero.
struct Executor::Segment {
  size_t first = 0, last = 0;
  std::unique_ptr<lower::Executable> executable;
  std::vector<InputGate> gates;
};

struct Executor::HostBuffer {
  explicit HostBuffer(uint64_t bytes) {
    const uint64_t rounded = (bytes / lower::CallList::kAlignment + 1) * lower::CallList::kAlignment;  // never empty
    data = std::aligned_alloc(lower::CallList::kAlignment, rounded);
    if (data == nullptr) throw std::bad_alloc();
  }
  ~HostBuffer() { std::free(data); }
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  void* data;
};

Executor::Executor(lower::CallList list, std::shared_ptr<lower::Backend> backend, io::TensorSourcePtr weights,
                   const ExecOptions& options)
    : list_(std::move(list)), backend_(std::move(backend)), weights_(std::move(weights)), options_(options) {
  bind_params(weights_);
  make_constants();
  allocate_arena();
  make_segments();
}

Executor::~Executor() = default;

void Executor::bind_params(const io::TensorSourcePtr& weights) {
  if (list_.params.empty()) return;
  if (weights == nullptr)
    throw UserError("[weights] the model has a structure but no weights; name a folder that has them, or --random-weights SEED");
  ErrorList errors;
  for (Value param : list_.params) {
    const std::string& name = list_.graph->def(param).label;
    const Shape& shape = list_.graph->type(param).shape;
    lower::HostParam host{name, {}, nullptr, options_.mapped, {}};
    try {
      const io::TensorRef tensor = weights->get(name);
      if (tensor.type.shape != shape)
        errors.add("[" + weights->describe() + "] tensor '" + name + "' has shape " + to_string(tensor.type.shape) +
                   ", the graph reads " + to_string(shape));
      host.type = tensor.type;
      host.data = tensor.bytes.data();
    } catch (const UserError& error) {
      errors.add(error.what());
    }
    host.drop = [weights, name] { weights->drop_pages(name); };
    host_params_.push_back(std::move(host));
  }
  errors.throw_if_any();

  std::vector<bool> on_backend(list_.params.size(), false);
  for (const Call& call : list_.calls)
    for (const Place& place : call.inputs)
      if (call.on_backend && place.space == Space::kParam) on_backend[place.at] = true;
  for (size_t i = 0; i < host_params_.size(); ++i) {
    if (!on_backend[i]) {
      params_.push_back(nullptr);
      continue;
    }
    std::shared_ptr<lower::DeviceParam> own;
    std::shared_ptr<lower::DeviceParam>& param = options_.params ? options_.params->by_name[host_params_[i].name] : own;
    if (param == nullptr) param = backend_->make_param(host_params_[i]);
    params_.push_back(param);
  }
}

void Executor::make_constants() {
  for (Value value : list_.constants) {
    const TensorType& type = list_.graph->type(value);
    std::vector<std::byte>& bytes = constants_.emplace_back(type.bytes());
    narrow(type.dtype, *list_.graph->def(value).data, bytes.data());
  }
  for (const auto& bytes : constants_) constant_data_.push_back(bytes.data());
}

void Executor::allocate_arena() {
  bool any_reference = false;
  for (const Call& call : list_.calls) any_reference = any_reference || !call.on_backend;
  if (backend_ != nullptr && any_reference && !backend_->host_accessible())
    throw UnsupportedError("[" + backend_->name() +
                           "] the reference cannot read this device's memory, and some calls are left to it");
  if (backend_ != nullptr) {
    device_arena_ = backend_->allocate(list_.arena_bytes);
    arena_ = device_arena_->data();
  } else {
    host_arena_ = std::make_unique<HostBuffer>(list_.arena_bytes);
    arena_ = host_arena_->data;
  }
}

void Executor::make_segments() {
  const std::vector<std::vector<InputGate>> gates = gates_over(list_);
  // A device with memory of its own may replay a whole partition at once.
  const bool whole = backend_ != nullptr && !backend_->host_accessible() && !options_.progress;
  const size_t most = whole ? list_.calls.size() : kMostCalls;
  std::vector<size_t> cuts = options_.cuts;
  std::sort(cuts.begin(), cuts.end());
  for (size_t first = 0; first < list_.calls.size();) {
    size_t last = first + 1;
    while (last < list_.calls.size() && last - first < most && !std::binary_search(cuts.begin(), cuts.end(), last) &&
           list_.calls[last].on_backend == list_.calls[first].on_backend && gates[last] == gates[first])
      ++last;
    Segment segment{first, last, nullptr, gates[first]};
    if (list_.calls[first].on_backend) segment.executable = backend_->compile(list_, first, last, options_.timed);
    segments_.push_back(std::move(segment));
    first = last;
  }
}

size_t Executor::partitions() const {
  size_t count = 0;
  for (const Segment& segment : segments_) count += segment.executable != nullptr;
  return count;
}

const void* Executor::address(const Place& place, const std::vector<const void*>& inputs,
                              const std::vector<void*>& outputs) const {
  switch (place.space) {
    case Space::kNone:
      return nullptr;
    case Space::kArena:
      return static_cast<const char*>(arena_) + place.at;
    case Space::kInput:
      return inputs[place.at];
    case Space::kOutput:
      return outputs[place.at];
    case Space::kParam:
      return host_params_[place.at].data;
    case Space::kConstant:
      return constant_data_[place.at];
  }
  return nullptr;
}

void Executor::run_reference(const Call& call, const std::vector<const void*>& inputs, const std::vector<void*>& outputs) {
  const OpCall op_call = list_.graph->call(list_.graph->node(call.node));
  std::vector<HostOperand> operands;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Place& place = call.inputs[i];
    const DType dtype = place.space == Space::kParam ? host_params_[place.at].type.dtype : op_call.inputs[i].dtype;
    operands.push_back({dtype, address(place, inputs, outputs)});
  }
  std::vector<void*> results;
  for (const Place& place : call.results)  // a call writes the arena or an output, both of which are ours to write
    results.push_back(const_cast<void*>(address(place, inputs, outputs)));
  run_reference_call(op_call, operands, results);
  if (!options_.mapped) return;
  for (const Place& place : call.inputs)
    if (place.space == Space::kParam) host_params_[place.at].drop();
}

void Executor::keep_on_device(OnDevice on_device) {
  ESP_CHECK(staging_ == nullptr && backend_ != nullptr && !backend_->host_accessible());
  staging_ = std::make_unique<Staging>(list_, *backend_, constant_data_, std::move(on_device));
}

void Executor::run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs) {
  run_calls(0, list_.calls.size(), inputs, outputs);
}

void Executor::run_calls(size_t first_call, size_t last_call, const std::vector<const void*>& inputs,
                         const std::vector<void*>& outputs) {
  ESP_CHECK(inputs.size() == list_.inputs.size() && outputs.size() == list_.outputs.size());
  if (staging_ == nullptr && backend_ != nullptr && !backend_->host_accessible()) keep_on_device({});
  call_ms_.assign(options_.timed ? list_.calls.size() : 0, 0.0);
  std::optional<Progress> shown;
  if (options_.progress) shown.emplace("running", list_.calls.size());
  const auto advance = [&](size_t calls, std::string_view item = "") {
    if (shown) shown->add(calls, item);
  };
  const auto stop_if_asked = [&] {
    if (options_.interruptible) check_interrupt();
  };
  const auto is_zero = [&](const InputGate& gate) {
    const bool hidden = staging_ != nullptr && staging_->on_device().input(gate.input);
    return !hidden && static_cast<const float*>(inputs[gate.input])[gate.element] == 0;
  };
  if (staging_ != nullptr) staging_->begin(inputs, outputs);
  const std::vector<const void*>& device_inputs = staging_ ? staging_->inputs() : inputs;
  const std::vector<void*>& device_outputs = staging_ ? staging_->outputs() : outputs;
  const std::vector<const void*>& device_constants = staging_ ? staging_->constants() : constant_data_;
  for (const Segment& segment : segments_) {
    if (segment.last <= first_call) continue;
    if (segment.first >= last_call) break;
    ESP_CHECK(segment.first >= first_call && segment.last <= last_call);
    stop_if_asked();
    if (std::any_of(segment.gates.begin(), segment.gates.end(), is_zero)) {
      advance(segment.last - segment.first);
      continue;
    }
    if (segment.executable != nullptr) {
      segment.executable->run(arena_, device_inputs, device_outputs, device_constants, params_);
      if (options_.timed) {
        const std::vector<double> ms = segment.executable->last_call_ms();
        if (ms.size() != segment.last - segment.first)
          throw UnsupportedError("[" + backend_->name() +
                                 "] this backend does not time its calls; run without --profile and --trace");
        std::copy(ms.begin(), ms.end(), call_ms_.begin() + static_cast<std::ptrdiff_t>(segment.first));
      }
      advance(segment.last - segment.first);
      continue;
    }
    for (size_t i = segment.first; i < segment.last; ++i) {
      stop_if_asked();
      const auto begin = std::chrono::steady_clock::now();
      run_reference(list_.calls[i], inputs, outputs);
      if (options_.timed) call_ms_[i] = ms_since(begin);
      advance(1, list_.graph->node(list_.calls[i].node).path);
    }
  }
  if (last_call < list_.calls.size()) return;
  if (staging_ != nullptr) staging_->end();
  copy_outputs(inputs, outputs);
}

uint64_t Executor::snapshot_bytes(size_t at) const {
  uint64_t bytes = 0;
  for (const ArenaRange& range : live_ranges(list_, at)) bytes += range.bytes;
  return bytes;
}

Snapshot Executor::snapshot(size_t at) const {
  Snapshot taken{at, std::vector<std::byte>(snapshot_bytes(at))};
  std::byte* to = taken.bytes.data();
  for (const ArenaRange& range : live_ranges(list_, at)) {
    const void* from = static_cast<const char*>(arena_) + range.offset;
    if (backend_ != nullptr)
      backend_->copy(to, from, range.bytes);
    else
      std::memcpy(to, from, range.bytes);
    to += range.bytes;
  }
  return taken;
}

void Executor::restore(const Snapshot& snapshot) {
  const std::byte* from = snapshot.bytes.data();
  for (const ArenaRange& range : live_ranges(list_, snapshot.at)) {
    void* to = static_cast<char*>(arena_) + range.offset;
    if (backend_ != nullptr)
      backend_->copy(to, from, range.bytes);
    else
      std::memcpy(to, from, range.bytes);
    from += range.bytes;
  }
}

void Executor::copy_outputs(const std::vector<const void*>& inputs, const std::vector<void*>& outputs) {
  for (const lower::OutputCopy& copy : list_.copies) {
    const TensorType& type = list_.graph->type(list_.outputs[copy.output]);
    const void* from = address(copy.from, inputs, outputs);
    void* to = outputs[copy.output];
    if (copy.from.space == Space::kParam) {  // the file's type may be narrower than the graph's
      const std::vector<double> values =
          widen(host_params_[copy.from.at].type.dtype, from, static_cast<size_t>(type.shape.elements()));
      if (staging_ == nullptr || !staging_->on_device().output(copy.output)) {
        narrow(type.dtype, values, to);
        continue;
      }
      std::vector<std::byte> bytes(type.bytes());
      narrow(type.dtype, values, bytes.data());
      backend_->copy(to, bytes.data(), bytes.size());
    } else if (staging_ == nullptr && from != to) {  // equal: state that an in-place op updated
      std::memcpy(to, from, type.bytes());
    }
  }
}

}  // namespace espalier::exec
