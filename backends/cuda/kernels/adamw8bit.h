#pragma once
#include "backends/cuda/kernels/optimizer.h"

namespace espalier::cuda::kernels {

/// Values of the 256 codes, ascending, then for each but the first the border to the one before it: 512 floats of device memory.
struct CodeTables {
  const float *with_sign, *without;
};

/// One step in place; moments are codes, scaled for each block of 256 elements.
struct AdamW8bitState {
  const float *p, *g;
  const uint8_t *m, *v;
  const float *m_scale, *v_scale;
  float* new_p;
  uint8_t *new_m, *new_v;
  float *new_m_scale, *new_v_scale;
  const float* hyper;  // as adamw's
  int64_t count;
};
inline constexpr int64_t kAdamW8bitPart = 4096;  // elements of a chunk

void adamw8bit(Stream stream, const AdamWOptions& options, const CodeTables& tables, const AdamW8bitState* states,
               const Chunk* chunks, unsigned count);

}  // namespace espalier::cuda::kernels
