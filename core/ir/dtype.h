#pragma once
// Element types of tensors. The numbers are those of the C ABI (`espalier/graph.h`) and never change.

#include <cstdint>
#include <optional>
#include <string_view>

namespace espalier {

enum class DType : int32_t { kNone = 0, kF32 = 1, kF16 = 2, kBF16 = 3, kF64 = 4, kI32 = 5, kI64 = 6, kU8 = 7, kBool = 8 };

uint64_t size_of(DType dtype);          // bytes of one element; 0 for kNone
std::string_view name_of(DType dtype);  // "f32", "f16", "bf16", …
std::optional<DType> parse_dtype(std::string_view name);
inline bool is_floating(DType d) { return d == DType::kF32 || d == DType::kF16 || d == DType::kBF16 || d == DType::kF64; }

}  // namespace espalier
