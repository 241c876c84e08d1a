#pragma once
// Training batches from a cache.

#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/data/source.h"

namespace espalier::data {

struct CacheOptions {
  std::filesystem::path folder;
  int64_t batch_size = 1;
  uint64_t seed = 0;
  int64_t validation_rows = 0;  // held out: evenly over the sorted ids, the same ones for every seed
  double caption_dropout = 0;   // share of samples whose embeddings are replaced by the unconditional ones
  bool shuffle = true;
  int timesteps = 1000;
};

/// Batches of one bucket each, endless.
///
/// Guarantees: within a bucket every epoch visits each of its training rows exactly once, in an order drawn by (seed, epoch), the
/// same for every batch size; rows that fill no whole batch are carried over into the next epoch's first batch, none is dropped.
/// Buckets take turns in proportion to their rows, each within one batch of its share. Noise, timestep and caption dropout of a
/// sample depend on (seed, id, step) and nothing else: not on its place in the batch, the batch size or the other rows.
/// Held-out rows are batched by bucket in the order of their ids; a last batch that they do not fill is filled up with the first
/// of them under further noise; their noise and timesteps are drawn by id alone.
/// Errors: those of Cache; UserError for a batch size below 1, a dropout outside [0,1], more rows held out than leave one.
std::unique_ptr<Source> open_cache(const CacheOptions& options);

}  // namespace espalier::data
