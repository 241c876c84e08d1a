#pragma once
// Where weights come from: names, types, shapes and read-only bytes. Files are mapped, never copied.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ir/shape.h"

namespace espalier::io {

/// One tensor of a source; `bytes` points into mapped memory that lives as long as the source.
struct TensorRef {
  TensorType type;
  std::span<const std::byte> bytes;
};

/// One tensor as its file has it, of any type that the format knows: to be passed on, not to be computed with.
struct RawTensor {
  std::string dtype;  // the format's name: "F8_E4M3"
  Shape shape;
  std::span<const std::byte> bytes;  // not aligned
};

/// A set of named tensors. Thread-safe for reading.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// All names, in file order.
  virtual const std::vector<std::string>& names() const = 0;
  virtual bool contains(std::string_view name) const = 0;
  /// Errors: UserError when there is no such tensor (with the nearest names).
  virtual TensorRef get(std::string_view name) const = 0;
  /// The same tensor uninterpreted, also of a type that `get` refuses. Errors: UserError when there is no such tensor.
  virtual RawTensor raw(std::string_view name) const;
  /// Tells the system that the pages of this tensor are not needed soon (mapped mode). A hint; never fails.
  virtual void drop_pages(std::string_view name) const { (void)name; }
  /// What an error message calls this source: a file or folder.
  virtual std::string describe() const = 0;
};

using TensorSourcePtr = std::shared_ptr<const TensorSource>;  // shared: students keep reading the teacher's files

}  // namespace espalier::io
