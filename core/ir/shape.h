#pragma once
// Static shapes and tensor types. Logical layout is the memory layout: row-major, images are N,H,W,C.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/ir/dtype.h"

namespace espalier {

/// Extents of a dense row-major tensor; rank 0 is a scalar of one element. At most 8 dimensions.
class Shape {
 public:
  static constexpr int kMaxRank = 8;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}

  int rank() const { return static_cast<int>(dims_.size()); }
  /// Extent of dimension `i`; negative `i` counts from the end.
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i < 0 ? i + rank() : i)]; }
  int64_t back() const { return dims_.back(); }
  int64_t elements() const;
  const std::vector<int64_t>& dims() const { return dims_; }
  bool operator==(const Shape&) const = default;

 private:
  std::vector<int64_t> dims_;
};

std::string to_string(const Shape& shape);  // "[2,64,64,320]"

/// Element type and shape of one value.
struct TensorType {
  DType dtype = DType::kNone;
  Shape shape;
  bool present() const { return dtype != DType::kNone; }  // an absent optional operand has kNone
  uint64_t bytes() const { return size_of(dtype) * static_cast<uint64_t>(shape.elements()); }
  bool operator==(const TensorType&) const = default;
};

inline TensorType f32(Shape shape) { return {DType::kF32, std::move(shape)}; }
std::string to_string(const TensorType& type);  // "f32[2,64,64,320]"

}  // namespace espalier
