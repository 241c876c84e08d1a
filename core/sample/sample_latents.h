#pragma once
// The loop of sampling: noise → latents, with classifier-free guidance. What predicts is a function, so that an executor, a
// teacher beside its student and a test's formula all serve.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/exec/tensor.h"
#include "core/sample/sampler.h"

namespace espalier::sample {

/// What pictures are drawn from, one row each.
struct Conditioning {
  exec::FloatTensor encoder_hidden_states;  // [N,L,E]
  exec::FloatTensor text_embeds;            // [N,P]; no values where the model has none
  exec::FloatTensor time_ids;               // [N,6]; likewise
};

/// The model's answer to `sample` [B,H,W,C] at one timestep, of the sample's shape, with B rows of conditioning.
using Predict = std::function<exec::FloatTensor(const exec::FloatTensor& sample, double timestep, const Conditioning& rows)>;

struct SampleRequest {
  const Sampler* sampler = nullptr;
  Conditioning conditioning;     // N rows
  Conditioning unconditional;    // 1 row; its time_ids are not read: each picture's own go with it. Not read at guidance 1
  std::vector<std::string> ids;  // N: with the seed they determine the noise
  int64_t height = 0, width = 0, channels = 0;  // of the latents
  uint64_t seed = 0;
  double guidance = 1;
  int64_t pictures_at_once = 0;                                    // at most; groups are of even size. 0: all N
  std::function<void(size_t step, size_t pictures)> on_step = {};  // after each step of each group
};

/// Rows of one call of `Predict`: with guidance the unconditional ones come first, then as many conditional ones.
int64_t rows_at_once(const SampleRequest& request);

/// Draws N latents [N,H,W,C].
///
/// Guidance: prediction = u + guidance (c - u) of the unconditional and conditional answers; at 1 the unconditional one is
/// not asked for.
/// Guarantees: picture k starts from `start_noise(seed, ids[k], …)`, whatever else is drawn with it. Every call of `predict`
/// has the same number of rows; a last group that is not full repeats its first picture.
/// Errors: Error when an answer is not finite, naming the step. InternalError for shapes that do not fit.
exec::FloatTensor sample_latents(const Predict& predict, const SampleRequest& request);

/// Standard normal [H,W,C] values of picture `id`: a function of (seed, id) alone.
std::vector<float> start_noise(uint64_t seed, std::string_view id, int64_t elements);
/// What a step takes: a function of (seed, id, step) alone.
std::vector<float> step_noise(uint64_t seed, std::string_view id, size_t step, int64_t elements);

}  // namespace espalier::sample
