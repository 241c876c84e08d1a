#pragma once
// Functions of one number that several kernels use, in f32.

#include "backends/cuda/kernels/device.h"

namespace espalier::cuda::kernels {

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ inline float silu(float x) { return x / (1.0f + expf(-x)); }
/// Share of the normal distribution below x.
__device__ inline float normal_share(float x) { return 0.5f * erfcf(-0.70710678118654752f * x); }
/// Exact, as diffusers computes it; cuBLASLt's epilogue is the tanh form, another function.
__device__ inline float gelu(float x) { return x * normal_share(x); }
__device__ inline float normal_density(float x) { return 0.39894228040143267794f * expf(-0.5f * x * x); }

}  // namespace espalier::cuda::kernels
