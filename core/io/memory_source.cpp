#include "core/io/memory_source.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/base/text.h"
#include "core/io/safetensors_header.h"

namespace espalier::io {
namespace {

// `count` elements of `dtype` at `from` as f32. f64 is rounded once.
void widen(DType dtype, const std::byte* from, float* to, size_t count) {
  if (dtype == DType::kF32) {
    std::memcpy(to, from, count * sizeof(float));
  } else if (dtype == DType::kF16) {
    f16_to_f32(from, to, count);
  } else if (dtype == DType::kBF16) {
    bf16_to_f32(from, to, count);
  } else {
    for (size_t i = 0; i < count; ++i) {
      double value = 0;
      std::memcpy(&value, from + i * sizeof value, sizeof value);
      to[i] = static_cast<float>(value);
    }
  }
}

void require_floating(DType dtype, bool target) {
  if (is_floating(dtype) && !(target && dtype == DType::kF64)) return;
  throw UserError(std::string("a tensor of type ") + std::string(name_of(dtype)) +
                  (target ? " cannot be made by conversion" : " cannot be converted") + "; f32, f16 and bf16 can");
}

}  // namespace

RawTensor TensorSource::raw(std::string_view name) const {
  const TensorRef tensor = get(name);
  return {std::string(safetensors_name_of(tensor.type.dtype)), tensor.type.shape, tensor.bytes};
}

void MemoryTensorSource::add(std::string name, TensorType type, std::vector<std::byte> bytes) {
  if (bytes.size() != type.bytes()) internal_error("tensor '" + name + "' has a size that its type contradicts");
  if (!tensors_.emplace(name, Tensor{std::move(type), std::move(bytes)}).second)
    internal_error("tensor '" + name + "' is there already");
  names_.push_back(std::move(name));
}

void MemoryTensorSource::add_f32(std::string name, Shape shape, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  add(std::move(name), f32(std::move(shape)), std::vector<std::byte>(bytes.begin(), bytes.end()));
}

bool MemoryTensorSource::contains(std::string_view name) const { return tensors_.count(std::string(name)) != 0; }

TensorRef MemoryTensorSource::get(std::string_view name) const {
  const auto found = tensors_.find(std::string(name));
  if (found == tensors_.end()) no_such_tensor(*this, name);
  return {found->second.type, found->second.bytes};
}

// The rows are moved from one by one, which the check does not see through a structured binding.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
RenamedTensorSource::RenamedTensorSource(TensorSourcePtr source, std::vector<std::pair<std::string, std::string>> renames)
    : source_(std::move(source)) {
  for (auto& [name, from] : renames) {
    if (!source_->contains(from)) no_such_tensor(*source_, from);
    if (!source_names_.emplace(name, std::move(from)).second) internal_error("tensor '" + name + "' is there already");
    names_.push_back(std::move(name));
  }
}

bool RenamedTensorSource::contains(std::string_view name) const { return source_names_.count(std::string(name)) != 0; }

const std::string& RenamedTensorSource::source_name(std::string_view name) const {
  const auto found = source_names_.find(std::string(name));
  if (found == source_names_.end()) no_such_tensor(*this, name);
  return found->second;
}

TensorRef RenamedTensorSource::get(std::string_view name) const { return source_->get(source_name(name)); }

RawTensor RenamedTensorSource::raw(std::string_view name) const { return source_->raw(source_name(name)); }

void RenamedTensorSource::drop_pages(std::string_view name) const {
  const auto found = source_names_.find(std::string(name));
  if (found != source_names_.end()) source_->drop_pages(found->second);
}

std::vector<float> read_f32(const TensorRef& tensor) {
  require_floating(tensor.type.dtype, false);
  std::vector<float> values(static_cast<size_t>(tensor.type.shape.elements()));
  widen(tensor.type.dtype, tensor.bytes.data(), values.data(), values.size());
  return values;
}

void convert_chunks(const TensorRef& tensor, DType dtype, const std::function<void(std::span<const std::byte>)>& sink,
                    size_t chunk) {
  require_floating(tensor.type.dtype, false);
  require_floating(dtype, true);
  if (tensor.type.dtype == dtype) {
    sink(tensor.bytes);
    return;
  }
  const size_t total = static_cast<size_t>(tensor.type.shape.elements()), from_size = size_of(tensor.type.dtype);
  const size_t part = std::min(chunk, total);
  std::vector<float> wide(part);
  std::vector<std::byte> narrow(dtype == DType::kF32 ? 0 : part * size_of(dtype));
  for (size_t begin = 0; begin < total; begin += part) {
    const size_t count = std::min(part, total - begin);
    widen(tensor.type.dtype, tensor.bytes.data() + begin * from_size, wide.data(), count);
    if (dtype == DType::kF32) {
      sink(std::as_bytes(std::span(wide.data(), count)));
      continue;
    }
    if (dtype == DType::kF16)
      f32_to_f16(wide.data(), narrow.data(), count);
    else
      f32_to_bf16(wide.data(), narrow.data(), count);
    sink(std::span(narrow).first(count * size_of(dtype)));
  }
}

std::vector<std::byte> convert(const TensorRef& tensor, DType dtype) {
  std::vector<std::byte> bytes;
  bytes.reserve(static_cast<size_t>(tensor.type.shape.elements()) * size_of(dtype));
  convert_chunks(tensor, dtype, [&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); });
  return bytes;
}

void no_such_tensor(const TensorSource& source, std::string_view name) {
  throw UserError(source.describe() + ": has no tensor '" + printable(name) + "'" + did_you_mean(name, source.names()));
}

}  // namespace espalier::io
