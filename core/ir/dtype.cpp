#include "core/ir/dtype.h"

#include <array>
#include <utility>

namespace espalier {
namespace {
struct Row {
  DType dtype;
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<Row, 8> kRows{{{DType::kF32, "f32", 4},
                                    {DType::kF16, "f16", 2},
                                    {DType::kBF16, "bf16", 2},
                                    {DType::kF64, "f64", 8},
                                    {DType::kI32, "i32", 4},
                                    {DType::kI64, "i64", 8},
                                    {DType::kU8, "u8", 1},
                                    {DType::kBool, "bool", 1}}};
}  // namespace

uint64_t size_of(DType dtype) {
  for (const Row& row : kRows)
    if (row.dtype == dtype) return row.bytes;
  return 0;
}

std::string_view name_of(DType dtype) {
  for (const Row& row : kRows)
    if (row.dtype == dtype) return row.name;
  return "none";
}

std::optional<DType> parse_dtype(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

}  // namespace espalier
