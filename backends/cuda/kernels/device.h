#pragma once
// What kernels are written against. Under nvcc it is CUDA; under g++ and clang++ the same source runs in emulate/. Threads that
// meet at a barrier are whole blocks, those that shuffle whole warps. No kernel uses atomics, so that results are the same bits.

#include <cstdint>

#include "backends/cuda/types.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#define ESP_SHARED(type, name, count) __shared__ type name[count]
#else
#include "backends/cuda/emulate/shim.h"
#endif

namespace espalier::cuda {

inline constexpr unsigned kWarpThreads = 32;

/// Starts `kernel` on `stream`; on the host it has ended when this returns.
/// Errors: std::runtime_error of a launch that the runtime refuses.
template <typename... Params, typename... Args>
void launch(Stream stream, dim3 grid, dim3 block, void (*kernel)(Params...), Args... args) {
#if defined(__CUDACC__)
  kernel<<<grid, block, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<Params>(args)...);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) throw std::runtime_error(std::string("a kernel did not start: ") + cudaGetErrorString(status));
#else
  static_cast<void>(stream);
  emulate::run(grid, block, [=] { kernel(static_cast<Params>(args)...); });  // by value: it may be kept
#endif
}

// Numbers in memory. Arithmetic is f32 whatever they are stored as; to bf16 and f16 they round to nearest even.

__device__ inline float widen(float x) { return x; }
#if defined(__CUDACC__)
__device__ inline float widen(F16 x) { return __half2float(__ushort_as_half(x.bits)); }
__device__ inline float widen(BF16 x) { return __bfloat162float(__ushort_as_bfloat16(x.bits)); }
template <typename T>
__device__ inline T narrow(float x) {
  if constexpr (sizeof(T) == 4)
    return x;
  else if constexpr (T::kIsBF16)
    return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
  else
    return {__half_as_ushort(__float2half_rn(x))};
}
#else
inline float widen(F16 x) { return f16_to_float(x.bits); }
inline float widen(BF16 x) { return bf16_to_float(x.bits); }
template <typename T>
inline T narrow(float x) {
  if constexpr (sizeof(T) == 4)
    return x;
  else if constexpr (T::kIsBF16)
    return {float_to_bf16(x)};
  else
    return {float_to_f16(x)};
}
#endif

/// 16 bytes of numbers: what one thread loads and stores at a time.
template <typename T>
struct alignas(16) Pack {
  static constexpr int kCount = 16 / sizeof(T);
  T at[kCount];
};

/// Whether rows of `width` elements can be read by packs; the base of every operand is 16-byte aligned.
template <typename T>
constexpr bool by_packs(int64_t width) {
  return width % Pack<T>::kCount == 0;
}

}  // namespace espalier::cuda
