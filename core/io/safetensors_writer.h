#pragma once
// Writing one safetensors file in a stream: first the list of tensors, then their bytes in that order.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.h"
#include "core/io/tensor_source.h"

namespace espalier::io {

struct TensorDecl {
  std::string name;
  TensorType type;
  // Of a tensor that is passed on as it is: the format's name of its type, and its size. Empty otherwise.
  std::string raw_dtype = {};
  uint64_t raw_bytes = 0;
  uint64_t bytes() const { return raw_dtype.empty() ? type.bytes() : raw_bytes; }
};
/// The declaration of a tensor that `SafetensorsWriter::pass_on` will write.
TensorDecl passed_on(std::string name, const RawTensor& tensor);

/// Streams one file; it appears under its name only on `finish`.
///
/// Guarantees: deterministic bytes; tensors lie in the given order without holes; the header is padded with spaces to a multiple
/// of 8 bytes, and so is each tensor's start when the declared order is by falling element size. Errors: UserError for bad or
/// duplicate names, free space, the system's refusals; InternalError when the caller writes other tensors or sizes than it
/// declared.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& file, std::vector<TensorDecl> tensors,
                    const std::map<std::string, std::string>& metadata = {}, Existing existing = Existing::kReplace);

  /// The whole of the next tensor, which must be `name`; converts between f32, f16 and bf16 where the types differ.
  void write(std::string_view name, const TensorRef& tensor);
  /// The whole of the next tensor, declared by `passed_on`: byte for byte, of whatever type.
  void pass_on(std::string_view name, const RawTensor& tensor);
  /// A part of the current tensor's bytes, already of its declared type.
  void append(std::span<const std::byte> bytes);
  /// Errors: InternalError unless every declared byte was written.
  void finish();

 private:
  const TensorDecl& begin(std::string_view name);
  AtomicFile file_;
  std::vector<TensorDecl> tensors_;
  size_t current_ = 0;
  uint64_t done_bytes_ = 0;  // of the current tensor
};

/// Writes all tensors of `source` (or those of `names`) in order, as `dtype` where that is given and the tensor is floating.
void write_safetensors(const std::filesystem::path& file, const TensorSource& source,
                       const std::map<std::string, std::string>& metadata = {}, DType dtype = DType::kNone);

/// Bytes of the header (its 8-byte length included) that a file of these tensors begins with.
std::string safetensors_header(std::span<const TensorDecl> tensors, const std::map<std::string, std::string>& metadata);

}  // namespace espalier::io
