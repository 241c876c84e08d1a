// Parameters on the device, and the table of kernels.

#include "backends/cuda/device.h"

#include "backends/cuda/kernels/cast.h"
#include "backends/cuda/kernels/channels_last.h"
#include "backends/cuda/ops/ops.h"

namespace espalier::cuda {

const void* Param::get(Device& device, int32_t dtype, Layout layout) {
  std::unique_ptr<Memory>& copy = copies_[{dtype, layout}];
  if (copy) return copy->data();
  device.note_upload();
  Seam& seam = device.seam();
  const int64_t count = esp::elements(host_.type);
  const auto memory_of = [&](int32_t type) {
    return std::make_unique<Memory>(seam, static_cast<uint64_t>(count) * static_cast<uint64_t>(esp::dtype_bytes(type)));
  };
  auto made = memory_of(host_.type.dtype);
  seam.upload(made->data(), host_.data, static_cast<uint64_t>(count) * static_cast<uint64_t>(esp::dtype_bytes(host_.type.dtype)));
  if (dtype != host_.type.dtype) {
    auto converted = memory_of(dtype);
    kernels::cast(device.stream(), host_.type.dtype, made->data(), dtype, converted->data(), count);
    made = std::move(converted);
  }
  if (layout == Layout::kChannelsLast) {
    auto turned = memory_of(dtype);
    kernels::to_channels_last(device.stream(), dtype, made->data(), turned->data(), esp::dim(host_.type, 0),
                              esp::dim(host_.type, 1),
                              count / std::max<int64_t>(1, esp::dim(host_.type, 0) * esp::dim(host_.type, 1)));
    made = std::move(turned);
  }
  if (host_.drop) host_.drop(host_.drop_ctx);
  if (host_.flags & ESP_PARAM_MAPPED) device.lend(*this);
  copy = std::move(made);
  return copy->data();
}

void Param::end_of_run() { copies_.clear(); }

void Device::copy(void* to, const void* from, uint64_t bytes) {
  seam_->copy(to, from, bytes);
  seam_->synchronise();
}

const float* Device::constant(const std::string& name, std::vector<float> (*make)()) {
  std::unique_ptr<Memory>& memory = constants_[name];
  if (!memory) {
    note_upload();
    const std::vector<float> values = make();
    memory = std::make_unique<Memory>(*seam_, values.size() * sizeof(float));
    seam_->upload(memory->data(), values.data(), values.size() * sizeof(float));
  }
  return static_cast<const float*>(memory->data());
}

void Device::end_lending() {
  for (Param* param : lent_) param->end_of_run();
  lent_.clear();
}

const esp::kernel_table<Device>& Device::kernels() {
  static const esp::kernel_table<Device> table = [] {
    esp::kernel_table<Device> all;
#define ESP_CUDA_OPS(stem) all.add(ops::stem());
#include "backends/cuda/ops/op_list.def"
#undef ESP_CUDA_OPS
    return all;
  }();
  return table;
}

}  // namespace espalier::cuda
