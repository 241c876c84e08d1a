#pragma once
// A cache: a folder of encoded pictures with what they are conditioned on, in safetensors shards with an index. Format 1:
//
//   index.json                 what is in it (CacheInfo), and per picture size ("bucket") its shards and their row counts
//   rows.jsonl                 a line per row, in the order of buckets, shards and rows: {"id","caption","shard","row"}
//   bucket-0-00000.safetensors latents [n,C,H,W], encoder_hidden_states [n,L,E], and where pooled > 0 text_embeds [n,P] and
//                              time_ids [n,6]; f32, f16 or bf16
//   unconditional.safetensors  encoder_hidden_states [L,E] and text_embeds [P]: the empty caption's

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/exec/tensor.h"
#include "core/io/tensor_source.h"

namespace espalier::data {

struct CacheBucket {
  int64_t height = 0, width = 0;  // of the latents
  std::vector<std::string> shards;
  std::vector<int64_t> rows;  // of each shard
};

/// `index.json`.
struct CacheInfo {
  std::string codec;  // of Codec's names, or "vae": latents that no codec here can decode
  int64_t channels = 0, tokens = 0, embedding = 0;
  int64_t pooled = 0;       // 0: no text_embeds, no time_ids
  std::string source;       // what the pictures are, and their licence line
  double latent_scale = 1;  // what encoded latents were multiplied by; a decoder divides by it
  std::vector<CacheBucket> buckets;
  std::string unconditional = "unconditional.safetensors";
};

/// A line of `rows.jsonl`.
struct CacheRow {
  std::string id, caption;
  size_t bucket = 0, shard = 0;  // into buckets, into that bucket's shards
  int64_t row = 0;               // of the shard
};

/// What a picture is conditioned on. Empty tensors where the cache has none; an unconditional one has no time_ids of its own.
struct Conditioning {
  exec::FloatTensor encoder_hidden_states;  // [L,E]
  exec::FloatTensor text_embeds;            // [P]
  exec::FloatTensor time_ids;               // [6]
};

/// An open cache; shards stay mapped. Thread-safe for reading.
class Cache {
 public:
  /// Errors: UserError with every fault of the whole folder, each with its file and place: wrong, missing and unknown keys and
  /// tensors, shapes and counts that contradict each other, rows that repeat an id.
  /// Cost: reads index.json, rows.jsonl and the headers of the shards.
  explicit Cache(std::filesystem::path folder);
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  const CacheInfo& info() const { return info_; }
  const std::vector<CacheRow>& rows() const { return rows_; }
  const std::filesystem::path& folder() const { return folder_; }
  /// The row with that id, else with that caption, else with that index ("0", "17").
  /// Errors: UserError: none (with the nearest), or several with that caption (with their ids).
  size_t find(std::string_view what) const;
  /// Latents of row `index` as [H,W,C]; not scaled back. Errors: UserError for a value that is not finite.
  exec::FloatTensor latents(size_t index) const;
  Conditioning conditioning(size_t index) const;
  const Conditioning& unconditional() const { return unconditional_; }

 private:
  exec::FloatTensor row_of(const char* tensor, size_t index) const;
  std::filesystem::path folder_;
  CacheInfo info_;
  std::vector<CacheRow> rows_;
  std::unordered_map<std::string_view, size_t> by_id_;  // views of rows_
  std::vector<std::vector<io::TensorSourcePtr>> shards_;
  Conditioning unconditional_;
};

}  // namespace espalier::data
