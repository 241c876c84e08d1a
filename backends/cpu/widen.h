#pragma once
// Storage types: f16 and bf16 are widened to f32 while they are packed; arithmetic is f32 throughout.

#include <cstdint>

namespace espalier::cpu {

/// `count` elements of `dtype` from index `first` of `from`, as f32. `from` may have any alignment. Exact for f16, bf16,
/// f32, u8 and bool; i32, i64, f64 round to nearest.
void widen(const void* from, int32_t dtype, int64_t first, int64_t count, float* to);
/// The other way, rounded to nearest even (integers: toward zero, bool: not equal to 0).
void narrow(const float* from, int64_t count, int32_t dtype, void* to);

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);
uint16_t float_to_bfloat(float value);

}  // namespace espalier::cpu
