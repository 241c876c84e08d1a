#include "core/io/safetensors_writer.h"

#include <unordered_set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors_header.h"

namespace espalier::io {
namespace {

std::string json_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      static constexpr std::string_view kHex = "0123456789abcdef";
      quoted += "\\u00";
      quoted += kHex[static_cast<unsigned char>(c) >> 4];
      quoted += kHex[static_cast<unsigned char>(c) & 15];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

uint64_t total_bytes(std::span<const TensorDecl> tensors) {
  uint64_t total = 0;
  for (const TensorDecl& tensor : tensors) total += tensor.bytes();
  return total;
}

void check_declarations(const std::filesystem::path& file, std::span<const TensorDecl> tensors) {
  std::unordered_set<std::string_view> names;
  for (const TensorDecl& tensor : tensors) {
    check_tensor_name(tensor.name, file.string() + ": ");
    if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
      throw UserError(file.string() + ": the tensor name '" + printable(tensor.name) + "' is taken; each tensor needs its own");
  }
}

const std::vector<TensorDecl>& checked(const std::filesystem::path& file, const std::vector<TensorDecl>& tensors) {
  check_declarations(file, tensors);
  return tensors;
}

std::string dtype_name(const TensorDecl& tensor) {
  return tensor.raw_dtype.empty() ? std::string(safetensors_name_of(tensor.type.dtype)) : tensor.raw_dtype;
}

}  // namespace

TensorDecl passed_on(std::string name, const RawTensor& tensor) {
  return {std::move(name), {DType::kNone, tensor.shape}, tensor.dtype, tensor.bytes.size()};
}

std::string safetensors_header(std::span<const TensorDecl> tensors, const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      json += (json.back() == '{' ? "" : ",") + json_string(key) + ":" + json_string(value);
    json += "}";
  }
  uint64_t begin = 0;
  for (const TensorDecl& tensor : tensors) {
    const uint64_t end = begin + tensor.bytes();
    if (json.size() > 1) json += ",";
    json += json_string(tensor.name) + ":{\"dtype\":\"" + dtype_name(tensor) + "\",\"shape\":" + to_string(tensor.type.shape) +
            ",\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    begin = end;
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string header;
  for (int i = 0; i < 8; ++i) header += static_cast<char>(static_cast<uint64_t>(json.size()) >> (8 * i) & 255);
  return header + json;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& file, std::vector<TensorDecl> tensors,
                                     const std::map<std::string, std::string>& metadata, Existing existing)
    : file_(file, existing, total_bytes(checked(file, tensors))), tensors_(std::move(tensors)) {
  file_.write(safetensors_header(tensors_, metadata));
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  while (current_ < tensors_.size() && done_bytes_ == tensors_[current_].bytes()) ++current_, done_bytes_ = 0;
  if (bytes.empty()) return;
  if (current_ == tensors_.size()) internal_error("more tensor bytes than were declared");
  if (bytes.size() > tensors_[current_].bytes() - done_bytes_)
    internal_error("more bytes for tensor '" + tensors_[current_].name + "' than its type has");
  file_.write(bytes);
  done_bytes_ += bytes.size();
}

const TensorDecl& SafetensorsWriter::begin(std::string_view name) {
  if (current_ < tensors_.size() && done_bytes_ > 0 && done_bytes_ == tensors_[current_].bytes()) ++current_, done_bytes_ = 0;
  if (current_ == tensors_.size() || tensors_[current_].name != name || done_bytes_ != 0)
    internal_error("tensor '" + std::string(name) + "' is written out of its declared order");
  return tensors_[current_];
}

void SafetensorsWriter::write(std::string_view name, const TensorRef& tensor) {
  const TensorType& type = begin(name).type;
  if (tensor.type.shape != type.shape)
    internal_error("tensor '" + std::string(name) + "' is written with another shape than declared");
  if (type.bytes() == 0) {
    // nothing to append; an empty append would step over this tensor
  } else if (tensor.type.dtype == type.dtype) {
    append(tensor.bytes);
  } else {
    convert_chunks(tensor, type.dtype, [this](std::span<const std::byte> part) { append(part); });
  }
  ++current_;
  done_bytes_ = 0;
}

void SafetensorsWriter::pass_on(std::string_view name, const RawTensor& tensor) {
  const TensorDecl& declared = begin(name);
  if (tensor.dtype != declared.raw_dtype || tensor.shape != declared.type.shape || tensor.bytes.size() != declared.raw_bytes)
    internal_error("tensor '" + std::string(name) + "' is passed on with another type than declared");
  if (!tensor.bytes.empty()) append(tensor.bytes);
  ++current_;
  done_bytes_ = 0;
}

void SafetensorsWriter::finish() {
  append({});
  if (current_ != tensors_.size()) internal_error("tensor '" + tensors_[current_].name + "' was declared and not written");
  file_.publish();
}

void write_safetensors(const std::filesystem::path& file, const TensorSource& source,
                       const std::map<std::string, std::string>& metadata, DType dtype) {
  std::vector<TensorDecl> tensors;
  for (const std::string& name : source.names()) {
    TensorType type = source.get(name).type;
    if (dtype != DType::kNone && is_floating(type.dtype)) type.dtype = dtype;
    tensors.push_back({name, std::move(type)});
  }
  SafetensorsWriter writer(file, tensors, metadata);
  for (const std::string& name : source.names()) {
    writer.write(name, source.get(name));
    source.drop_pages(name);
  }
  writer.finish();
}

}  // namespace espalier::io
