#pragma once
#include "core/ir/builder.h"

namespace espalier::ops {
struct TimestepEmbeddingAttrs {
  int64_t dim = 0;  // of the result; odd dims end in a zero
  bool flip_sin_to_cos = false;
  double freq_shift = 0;
  double max_period = 10000;
};
/// t[N] → [N,dim], sines and cosines. Matches diffusers.models.embeddings.get_timestep_embedding.
Value timestep_embedding(Builder& b, Value t, const TimestepEmbeddingAttrs& attrs);
}  // namespace espalier::ops
