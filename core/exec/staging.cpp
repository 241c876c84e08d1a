#include "core/exec/staging.h"

namespace espalier::exec {
namespace {

constexpr uint64_t kAlignment = 256;  // of device memory: what vector loads and the libraries ask for at most

uint64_t rounded(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

Staging::Staging(const lower::CallList& list, lower::Backend& backend, const std::vector<const void*>& constants)
    : list_(list), backend_(backend) {
  uint64_t bytes = 0;
  for (const auto* values : {&list.inputs, &list.outputs, &list.constants})
    for (Value value : *values) bytes += rounded(list.graph->type(value).bytes());
  memory_ = backend.allocate(bytes);
  auto* next = static_cast<char*>(memory_->data());
  const auto take = [&](Value value) {
    char* data = next;
    next += rounded(list.graph->type(value).bytes());
    return data;
  };
  for (Value value : list.inputs) inputs_.push_back(take(value));
  for (Value value : list.outputs) outputs_.push_back(take(value));
  for (size_t i = 0; i < list.constants.size(); ++i) {
    char* data = take(list.constants[i]);
    backend.copy(data, constants[i], list.graph->type(list.constants[i]).bytes());
    constants_.push_back(data);
  }
}

void Staging::upload(const std::vector<const void*>& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i)
    backend_.copy(const_cast<void*>(inputs_[i]), inputs[i], list_.graph->type(list_.inputs[i]).bytes());
}

void Staging::download(const std::vector<void*>& outputs) {
  std::vector<const void*> from(outputs_.begin(), outputs_.end());
  for (const lower::OutputCopy& copy : list_.copies) {
    const void*& source = from[copy.output];
    switch (copy.from.space) {
      case lower::Space::kInput:
        source = inputs_[copy.from.at];
        break;
      case lower::Space::kOutput:
        source = outputs_[copy.from.at];
        break;
      default:
        source = nullptr;  // the host has it
        break;
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    if (from[i] != nullptr) backend_.copy(outputs[i], from[i], list_.graph->type(list_.outputs[i]).bytes());
}

}  // namespace espalier::exec
