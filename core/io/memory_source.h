#pragma once
// Tensor sources that are not files: tensors in owned memory, and another source under new names. Conversion of a
// tensor's elements.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/io/tensor_source.h"

namespace espalier::io {

/// Named tensors in memory that it owns. Fill it first, then share it as a TensorSourcePtr.
class MemoryTensorSource final : public TensorSource {
 public:
  explicit MemoryTensorSource(std::string description = "memory") : description_(std::move(description)) {}
  /// Errors: InternalError for a name that is there already or a size that the type contradicts.
  void add(std::string name, TensorType type, std::vector<std::byte> bytes);
  void add_f32(std::string name, Shape shape, std::span<const float> values);

  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override;
  TensorRef get(std::string_view name) const override;
  std::string describe() const override { return description_; }

 private:
  struct Tensor {
    TensorType type;
    std::vector<std::byte> bytes;
  };
  std::string description_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, Tensor> tensors_;
};

/// `source` under new names, in the order of `renames` (new name, source name); what no row names is not there.
class RenamedTensorSource final : public TensorSource {
 public:
  /// Errors: UserError when `source` lacks a name; InternalError for a new name given twice.
  RenamedTensorSource(TensorSourcePtr source, std::vector<std::pair<std::string, std::string>> renames);

  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override;
  TensorRef get(std::string_view name) const override;
  RawTensor raw(std::string_view name) const override;
  void drop_pages(std::string_view name) const override;
  std::string describe() const override { return source_->describe(); }

 private:
  const std::string& source_name(std::string_view name) const;
  TensorSourcePtr source_;  // shared: several views of one mapped file
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::string> source_names_;
};

/// All elements as f32, in file order. Errors: UserError for an element type other than f32, f16, bf16, f64.
std::vector<float> read_f32(const TensorRef& tensor);
/// The elements as `dtype`. Errors: UserError for a pair other than any of f32, f16, bf16, f64 → f32, f16, bf16.
std::vector<std::byte> convert(const TensorRef& tensor, DType dtype);
/// `convert` in pieces of at most `chunk` elements, handed to `sink` in order; no whole copy is made.
void convert_chunks(const TensorRef& tensor, DType dtype, const std::function<void(std::span<const std::byte>)>& sink,
                    size_t chunk = size_t{1} << 20);

/// UserError "FILE has no tensor 'x'; did you mean …", for implementations of TensorSource.
[[noreturn]] void no_such_tensor(const TensorSource& source, std::string_view name);

}  // namespace espalier::io
