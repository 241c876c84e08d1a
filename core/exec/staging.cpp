#include "core/exec/staging.h"

#include <cstring>

namespace espalier::exec {
namespace {

using lower::Space;

constexpr uint64_t kSmall = 64 << 10;  // bytes of an output from which on a copy of its own is no loss

}  // namespace

Staging::Staging(const lower::CallList& list, lower::Backend& backend, const std::vector<const void*>& constants,
                 OnDevice on_device)
    : list_(list), backend_(backend), on_device_(std::move(on_device)) {
  const auto size = [&](Value value) { return list.graph->type(value).bytes(); };
  uint64_t bytes = 0;
  for (size_t i = 0; i < list.inputs.size(); ++i)
    if (!on_device_.input(i)) bytes += Staging::bytes_of(size(list.inputs[i]));
  for (size_t i = 0; i < list.outputs.size(); ++i)
    if (!on_device_.output(i)) bytes += Staging::bytes_of(size(list.outputs[i]));
  for (Value value : list.constants) bytes += Staging::bytes_of(size(value));
  memory_ = backend.allocate(bytes);
  auto* next = static_cast<char*>(memory_->data());
  const auto take = [&](Value value) {
    char* data = next;
    next += Staging::bytes_of(size(value));
    return data;
  };
  for (size_t i = 0; i < list.inputs.size(); ++i) inputs_.push_back(on_device_.input(i) ? nullptr : take(list.inputs[i]));
  outputs_.assign(list.outputs.size(), nullptr);
  for (size_t i = 0; i < list.outputs.size(); ++i)
    if (!on_device_.output(i) && size(list.outputs[i]) > kSmall) outputs_[i] = take(list.outputs[i]);
  small_begin_ = next;
  for (size_t i = 0; i < list.outputs.size(); ++i)
    if (!on_device_.output(i) && size(list.outputs[i]) <= kSmall) outputs_[i] = take(list.outputs[i]);
  small_.resize(static_cast<size_t>(next - small_begin_));
  for (size_t i = 0; i < list.constants.size(); ++i) {
    char* data = take(list.constants[i]);
    backend.copy(data, constants[i], size(list.constants[i]));
    constants_.push_back(data);
  }
}

Staging::~Staging() = default;

void Staging::begin(const std::vector<const void*>& inputs, const std::vector<void*>& outputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (on_device_.input(i))
      inputs_[i] = inputs[i];
    else
      backend_.copy(const_cast<void*>(inputs_[i]), inputs[i], list_.graph->type(list_.inputs[i]).bytes());
  }
  host_outputs_.assign(outputs.size(), nullptr);
  for (size_t i = 0; i < outputs.size(); ++i) (on_device_.output(i) ? outputs_[i] : host_outputs_[i]) = outputs[i];
}

void Staging::end() {
  std::vector<const void*> from(outputs_.begin(), outputs_.end());  // where each output was made
  for (const lower::OutputCopy& copy : list_.copies) {
    const void*& source = from[copy.output];
    switch (copy.from.space) {
      case Space::kInput:
        source = inputs_[copy.from.at];
        break;
      case Space::kOutput:
        source = outputs_[copy.from.at];
        break;
      case Space::kConstant:
        source = constants_[copy.from.at];
        break;
      default:
        source = nullptr;  // the host has it
        break;
    }
  }
  download(from);
}

void Staging::download(const std::vector<const void*>& from) {
  if (!small_.empty()) backend_.copy(small_.data(), small_begin_, small_.size());
  const char* small_end = small_begin_ + small_.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == nullptr) continue;
    const uint64_t bytes = list_.graph->type(list_.outputs[i]).bytes();
    const auto* at = static_cast<const char*>(from[i]);
    if (on_device_.output(i)) {
      if (outputs_[i] != at) backend_.copy(outputs_[i], at, bytes);
    } else if (at >= small_begin_ && at < small_end) {
      std::memcpy(host_outputs_[i], small_.data() + (at - small_begin_), bytes);
    } else {
      backend_.copy(host_outputs_[i], at, bytes);
    }
  }
}

}  // namespace espalier::exec
