#include "core/sample/draw_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/data/codec.h"
#include "core/sample/unet_predict.h"

namespace espalier::sample {
namespace {

/// `tensor` as the next row of `rows`.
void append_row(exec::FloatTensor& rows, const exec::FloatTensor& tensor) {
  if (tensor.values.empty()) return;
  std::vector<int64_t> dims = tensor.shape.dims();
  dims.insert(dims.begin(), rows.values.empty() ? 1 : rows.shape[0] + 1);
  rows.shape = Shape(std::move(dims));
  rows.values.insert(rows.values.end(), tensor.values.begin(), tensor.values.end());
}

void append_row(Conditioning& rows, const data::Conditioning& row) {
  append_row(rows.encoder_hidden_states, row.encoder_hidden_states);
  append_row(rows.text_embeds, row.text_embeds);
  append_row(rows.time_ids, row.time_ids);
}

}  // namespace

OpenPredict open_unet(const model::Model& model, const inspect::SessionOptions& session) {
  return [&model, session](int64_t rows, int64_t height, int64_t width, int64_t tokens) {
    return unet_predict(
        inspect::open_session(model, {.batch = rows, .height = height, .width = width, .tokens = tokens}, session));
  };
}

void check_cache_fits(const model::UNetConfig& config, const data::CacheInfo& cache, const std::string& model_name) {
  ErrorList errors;
  const auto differ = [&](std::string_view what, int64_t of_model, int64_t of_cache) {
    if (of_model != of_cache)
      errors.add(
          fmt::format("[{}] the model has {} {}, the cache {}; they do not go together", model_name, of_model, what, of_cache));
  };
  differ("input channels", config.in_channels, cache.channels);
  differ("output channels", config.out_channels, cache.channels);
  const std::vector<int64_t>& widths = config.cross_attention_dim;
  const auto other = std::find_if(widths.begin(), widths.end(), [&](int64_t width) { return width != cache.embedding; });
  if (other != widths.end()) differ("as the width of its text embedding (cross_attention_dim)", *other, cache.embedding);
  if (config.has_text_time())
    differ("as the width of its pooled text embedding",
           config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim, cache.pooled);
  errors.throw_if_any();
}

std::vector<exec::FloatTensor> draw_rows(const OpenPredict& open, const data::Cache& cache, std::span<const size_t> rows,
                                         const DrawOptions& options) {
  const data::CacheInfo& info = cache.info();
  std::map<size_t, std::vector<size_t>> of_bucket;  // places in `rows`
  for (size_t place = 0; place < rows.size(); ++place) of_bucket[cache.rows()[rows[place]].bucket].push_back(place);
  std::vector<exec::FloatTensor> drawn(rows.size());
  for (const auto& [bucket, places] : of_bucket) {
    SampleRequest request;
    request.sampler = options.sampler;
    append_row(request.unconditional, cache.unconditional());
    for (const size_t place : places) {
      append_row(request.conditioning, cache.conditioning(rows[place]));
      request.ids.push_back(cache.rows()[rows[place]].id);
    }
    request.height = info.buckets[bucket].height;
    request.width = info.buckets[bucket].width;
    request.channels = info.channels;
    request.seed = options.seed;
    request.guidance = options.guidance;
    request.pictures_at_once = options.pictures_at_once;
    if (options.on_step) request.on_step = [&](size_t, size_t pictures) { options.on_step(pictures); };
    const Predict predict = open(rows_at_once(request), request.height, request.width, info.tokens);
    const exec::FloatTensor latents = sample_latents(predict, request);
    const auto size = static_cast<std::ptrdiff_t>(latents.values.size() / places.size());
    for (size_t i = 0; i < places.size(); ++i) {
      const auto begin = latents.values.begin() + static_cast<std::ptrdiff_t>(i) * size;
      drawn[places[i]] = {Shape{1, request.height, request.width, request.channels}, {begin, begin + size}};
    }
  }
  return drawn;
}

std::vector<Picture> decode_pictures(const data::CacheInfo& cache, std::span<const exec::FloatTensor> latents) {
  const auto codec = data::make_codec(cache.codec);
  std::vector<Picture> pictures;
  for (exec::FloatTensor each : latents) {
    for (float& value : each.values) value = static_cast<float>(value / cache.latent_scale);
    for (Picture& picture : pictures_of(codec->decode(each))) pictures.push_back(std::move(picture));
  }
  return pictures;
}

}  // namespace espalier::sample
