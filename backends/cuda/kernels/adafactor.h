#pragma once
#include "backends/cuda/types.h"

namespace espalier::cuda::kernels {

struct AdafactorOptions {
  float eps;
  double min_rms, clip_rms, weight_decay;
};

/// p, g [rows, columns], row [rows], column [columns], hyper [4]. Results may be the operands' own memory.
struct AdafactorMemory {
  const float *p, *g, *row, *column, *hyper;
  float *new_p, *new_row, *new_column;
};
/// `workspace` is of adafactor_workspace_bytes. Sums are in double, of tiles first and of what tiles left after.
void adafactor(Stream stream, const AdafactorOptions& options, const AdafactorMemory& at, int64_t rows, int64_t columns,
               void* workspace);
uint64_t adafactor_workspace_bytes(int64_t rows, int64_t columns);

/// p, g, v [count], hyper [4]. Results may be the operands' own memory.
struct AdafactorVectorMemory {
  const float *p, *g, *v, *hyper;
  float *new_p, *new_v;
};
void adafactor_vector(Stream stream, const AdafactorOptions& options, const AdafactorVectorMemory& at, int64_t count,
                      void* workspace);
uint64_t adafactor_vector_workspace_bytes(int64_t count);

}  // namespace espalier::cuda::kernels
