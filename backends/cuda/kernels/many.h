#pragma once
// One launch over many tensors: a list says which block of threads works on which part of which tensor.

#include "backends/cuda/kernels/device.h"

namespace espalier::cuda::kernels {

/// Part `part` of tensor `tensor`, for one block of threads.
struct Chunk {
  unsigned tensor, part;
};

/// body(args[tensor], part) for each chunk.
template <unsigned kThreads, typename Body, typename Args>
__global__ void __launch_bounds__(kThreads) many_kernel(Body body, const Args* args, const Chunk* chunks) {
  const Chunk chunk = chunks[blockIdx.x];
  body(args[chunk.tensor], chunk.part);
}

template <unsigned kThreads, typename Body, typename Args>
void launch_many(Stream stream, Body body, const Args* args, const Chunk* chunks, unsigned count) {
  if (count == 0) return;
  launch(stream, dim3{count, 1, 1}, dim3{kThreads, 1, 1}, many_kernel<kThreads, Body, Args>, body, args, chunks);
}

}  // namespace espalier::cuda::kernels
