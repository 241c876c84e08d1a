#include "core/data/cache_source.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/data/batch_order.h"
#include "core/data/cache.h"

// Every random number of a sample has the stream of its purpose and id and the counter of its draw: the step when training, the
// round of the held-out rows when validating, whose seed is always 0.

namespace espalier::data {
namespace {

constexpr uint64_t kFixedSeed = 0;
constexpr int kDrawBits = 32;  // of a counter, for the elements of one draw

uint64_t stream(const char* purpose, const std::string& id) { return rng::stream_of(std::string(purpose) + " of " + id); }

// The held-out rows: one drawn from each of `count` equal parts of the rows sorted by id.
std::vector<size_t> choose_held_out(const std::vector<CacheRow>& rows, int64_t count) {
  std::vector<size_t> sorted(rows.size()), chosen;
  for (size_t i = 0; i < sorted.size(); ++i) sorted[i] = i;
  std::sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) { return rows[a].id < rows[b].id; });
  const double part = static_cast<double>(rows.size()) / static_cast<double>(std::max<int64_t>(count, 1));
  for (int64_t k = 0; k < count; ++k) {
    // Parts are at least one row wide, so the places of two parts differ.
    const double first = std::floor(static_cast<double>(k) * part), next = std::floor(static_cast<double>(k + 1) * part);
    const double draw = rng::uniform(kFixedSeed, rng::stream_of("held out"), static_cast<uint64_t>(k));
    chosen.push_back(sorted[static_cast<size_t>(first + std::floor(draw * (next - first)))]);
  }
  return chosen;
}

std::string one_of(int64_t count, const char* one, const char* many) {
  return with_commas(count) + " " + (count == 1 ? one : many);
}

class CacheSource final : public Source {
 public:
  explicit CacheSource(const CacheOptions& options) : options_(options), cache_(options.folder) {
    check();
    const CacheInfo& info = cache_.info();
    for (const CacheBucket& bucket : info.buckets)
      shapes_.push_back(
          {options_.batch_size, bucket.height, bucket.width, info.channels, info.tokens, info.embedding, info.pooled});
    training_.resize(shapes_.size());
    held_out_.resize(shapes_.size());
    std::vector<bool> is_held_out(cache_.rows().size());
    for (const size_t row : choose_held_out(cache_.rows(), options_.validation_rows)) {
      is_held_out[row] = true;
      held_out_[cache_.rows()[row].bucket].push_back(row);
    }
    for (size_t row = 0; row < is_held_out.size(); ++row)
      if (!is_held_out[row]) training_[cache_.rows()[row].bucket].push_back(row);
    std::vector<int64_t> counts;
    for (const auto& rows : training_) counts.push_back(static_cast<int64_t>(rows.size()));
    order_ = std::make_unique<BatchOrder>(counts, options_.batch_size, options_.seed, options_.shuffle);
  }

  const std::vector<BatchShape>& buckets() const override { return shapes_; }
  int64_t rows() const override { return static_cast<int64_t>(cache_.rows().size()) - options_.validation_rows; }

  Batch batch(int64_t step) override {
    const BatchOrder::Place place = order_->at(step);
    std::vector<Sample> samples;
    for (const int64_t row : place.rows) {
      const size_t index = training_[place.bucket][static_cast<size_t>(row)];
      const double draw =
          rng::uniform(options_.seed, stream("caption dropout", cache_.rows()[index].id), static_cast<uint64_t>(step));
      samples.push_back({index, static_cast<uint64_t>(step), draw < options_.caption_dropout});
    }
    return assemble(place.bucket, options_.seed, samples);
  }

  int64_t validation_batches() const override {
    int64_t count = 0;
    for (const auto& rows : held_out_) count += batches_of(rows);
    return count;
  }

  Batch validation_batch(int64_t index) override {
    ESP_CHECK(index >= 0 && index < validation_batches());
    size_t bucket = 0;
    for (; index >= batches_of(held_out_[bucket]); ++bucket) index -= batches_of(held_out_[bucket]);
    const auto rows = static_cast<int64_t>(held_out_[bucket].size());
    std::vector<Sample> samples;
    for (int64_t i = index * options_.batch_size; i < (index + 1) * options_.batch_size; ++i)
      samples.push_back({held_out_[bucket][static_cast<size_t>(i % rows)], static_cast<uint64_t>(i / rows), false});
    return assemble(bucket, kFixedSeed, samples);
  }

  std::vector<std::string> describe() const override {
    const CacheInfo& info = cache_.info();
    std::vector<std::string> lines{
        "cache " + cache_.folder().string() + ": " + printable(info.source, 400),
        one_of(static_cast<int64_t>(cache_.rows().size()), "row", "rows") + " found, " +
            one_of(rows(), "kept for training", "kept for training") + ", " + with_commas(options_.validation_rows) +
            " held out; none dropped: rows that fill no whole batch begin the next epoch",
        "latents by codec " + info.codec + ", " + std::to_string(info.tokens) + " tokens of " + std::to_string(info.embedding) +
            (info.pooled > 0 ? ", pooled " + std::to_string(info.pooled) : ", none pooled")};
    for (size_t i = 0; i < shapes_.size(); ++i) {
      const auto count = static_cast<int64_t>(training_[i].size());
      char epochs[32];
      std::snprintf(epochs, sizeof epochs, "%.1f", static_cast<double>(count) / static_cast<double>(options_.batch_size));
      lines.push_back("bucket " + std::to_string(shapes_[i].height) + "x" + std::to_string(shapes_[i].width) + "x" +
                      std::to_string(shapes_[i].channels) + ": " + one_of(count, "row", "rows") + ", " + epochs + " batches of " +
                      std::to_string(options_.batch_size) + " an epoch, " +
                      one_of(static_cast<int64_t>(held_out_[i].size()), "row", "rows") + " held out" +
                      (count == 0                    ? "; none is left to train on"
                       : count < options_.batch_size ? "; fewer than a batch, so that rows repeat within one"
                                                     : ""));
    }
    if (options_.caption_dropout > 0) {
      char share[32];
      std::snprintf(share, sizeof share, "%g", options_.caption_dropout * 100);
      lines.push_back("caption dropout: " + std::string(share) + "% of the samples get the empty caption's embeddings");
    }
    return lines;
  }

 private:
  struct Sample {
    size_t row;
    uint64_t draw;  // which of the row's random numbers
    bool unconditional;
  };

  void check() const {
    const auto rows = static_cast<int64_t>(cache_.rows().size());
    ErrorList errors;
    if (options_.batch_size < 1)
      errors.add("[train] batch_size is " + std::to_string(options_.batch_size) + "; it is at least 1");
    if (!(options_.caption_dropout >= 0 && options_.caption_dropout <= 1))
      errors.add("[data] caption_dropout is " + std::to_string(options_.caption_dropout) + "; it is a share from 0 to 1");
    if (options_.validation_rows < 0 || options_.validation_rows >= rows)
      errors.add("[data] validation_rows is " + std::to_string(options_.validation_rows) + ", and the cache has " +
                 one_of(rows, "row", "rows") + ": at least one must be left to train on, so it is from 0 to " +
                 std::to_string(rows - 1));
    if (options_.timesteps < 1) errors.add("[diffusion] a schedule has at least 1 timestep");
    errors.throw_if_any();
  }

  int64_t batches_of(const std::vector<size_t>& rows) const {
    return (static_cast<int64_t>(rows.size()) + options_.batch_size - 1) / options_.batch_size;
  }

  Batch assemble(size_t bucket, uint64_t seed, const std::vector<Sample>& samples) const {
    const BatchShape& s = shapes_[bucket];
    const int64_t n = s.batch;
    Batch batch{bucket, {}, {}};
    exec::FloatTensors& tensors = batch.tensors;
    const auto begin = [&](const char* name, Shape shape) -> std::vector<float>& {
      exec::FloatTensor& tensor = tensors[name];
      tensor.shape = std::move(shape);
      tensor.values.reserve(static_cast<size_t>(tensor.shape.elements()));
      return tensor.values;
    };
    const auto append = [](std::vector<float>& to, const exec::FloatTensor& from) {
      to.insert(to.end(), from.values.begin(), from.values.end());
    };
    std::vector<float>& latents = begin("latents", Shape{n, s.height, s.width, s.channels});
    std::vector<float>& noise = begin("noise", Shape{n, s.height, s.width, s.channels});
    std::vector<float>& timestep = begin("timestep", Shape{n});
    std::vector<float>& text = begin("encoder_hidden_states", Shape{n, s.tokens, s.embedding});
    std::vector<float>* pooled = s.pooled > 0 ? &begin("text_embeds", Shape{n, s.pooled}) : nullptr;
    std::vector<float>* time_ids = s.pooled > 0 ? &begin("time_ids", Shape{n, 6}) : nullptr;
    for (const Sample& sample : samples) {
      const std::string& id = cache_.rows()[sample.row].id;
      append(latents, cache_.latents(sample.row));
      const uint64_t noises = stream("noise", id);
      for (int64_t i = 0; i < s.height * s.width * s.channels; ++i)
        noise.push_back(static_cast<float>(rng::normal(seed, noises, (sample.draw << kDrawBits) + static_cast<uint64_t>(i))));
      timestep.push_back(
          static_cast<float>(std::floor(rng::uniform(seed, stream("timestep", id), sample.draw) * options_.timesteps)));
      const Conditioning own = cache_.conditioning(sample.row);
      const Conditioning& used = sample.unconditional ? cache_.unconditional() : own;
      append(text, used.encoder_hidden_states);
      if (s.pooled > 0) {
        append(*pooled, used.text_embeds);
        append(*time_ids, own.time_ids);
      }
      batch.ids.push_back(id);
    }
    return batch;
  }

  CacheOptions options_;
  Cache cache_;
  std::vector<BatchShape> shapes_;
  std::vector<std::vector<size_t>> training_, held_out_;  // rows of the cache, by bucket
  std::unique_ptr<BatchOrder> order_;
};

}  // namespace

std::unique_ptr<Source> open_cache(const CacheOptions& options) { return std::make_unique<CacheSource>(options); }

}  // namespace espalier::data
