#pragma once
// Pictures of rows of a cache: what `sample` and a run's report draw.

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/data/cache.h"
#include "core/inspect/session.h"
#include "core/sample/picture.h"
#include "core/sample/sample_latents.h"

namespace espalier::sample {

/// Makes what predicts for `rows` rows of latents [height,width] and that many tokens.
using OpenPredict = std::function<Predict(int64_t rows, int64_t height, int64_t width, int64_t tokens)>;

/// A UNet on a backend. `model` must outlive what it returns.
OpenPredict open_unet(const model::Model& model, const inspect::SessionOptions& session);

/// Whether a UNet of this config can be told what the cache holds.
/// Errors: one UserError for every difference: latent channels in and out, width of the text embedding, pooled embeddings.
void check_cache_fits(const model::UNetConfig& config, const data::CacheInfo& cache, const std::string& model_name);

struct DrawOptions {
  const Sampler* sampler = nullptr;
  uint64_t seed = 0;
  double guidance = 1;
  int64_t pictures_at_once = 8;
  std::function<void(size_t pictures)> on_step = {};  // after each step of so many pictures
};

/// Latents [1,H,W,C] of each of `rows`, in their order. Rows of one size are drawn together.
/// Guarantees: a row's noise comes from (seed, id) alone, so that two models draw comparable pictures, whatever else is drawn.
/// Errors: those of sample_latents, `open` and the cache.
std::vector<exec::FloatTensor> draw_rows(const OpenPredict& open, const data::Cache& cache, std::span<const size_t> rows,
                                         const DrawOptions& options);

/// The pictures that latents of this cache stand for: scaled back, then decoded by its codec.
/// Errors: UserError when no codec here can decode them.
std::vector<Picture> decode_pictures(const data::CacheInfo& cache, std::span<const exec::FloatTensor> latents);

}  // namespace espalier::sample
