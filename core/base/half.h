#pragma once
// f16 and bf16 as storage types: conversion to and from f32, one value or many, rounding to nearest even.
//
// Every path (table of the processor's own instructions, portable bit arithmetic) gives the same bits: NaN stays NaN
// (quiet, payload truncated), overflow becomes infinity, f16 subnormals are exact.

#include <cstddef>
#include <cstdint>

namespace espalier {

float f16_to_f32(uint16_t half);
uint16_t f32_to_f16(float value);
float bf16_to_f32(uint16_t half);
uint16_t f32_to_bf16(float value);

/// Bulk forms; `from` and `to` need no alignment and must not overlap. Cost: memory speed where the CPU has F16C/AVX2.
void f16_to_f32(const void* from, float* to, size_t count);
void f32_to_f16(const float* from, void* to, size_t count);
void bf16_to_f32(const void* from, float* to, size_t count);
void f32_to_bf16(const float* from, void* to, size_t count);

}  // namespace espalier
