#include "core/data/cache_writer.h"

#include <cmath>
#include <cstdio>
#include <map>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/data/cache_index.h"
#include "core/exec/border.h"
#include "core/io/safetensors_writer.h"

// Rows wait in memory, one open shard per bucket, and leave it when the shard is full.

namespace espalier::data {
namespace {

constexpr float kLargestF16 = 65504;

void append(std::vector<float>& to, const std::vector<float>& from) { to.insert(to.end(), from.begin(), from.end()); }

struct OpenShard {
  std::vector<CacheRow> rows;
  std::vector<float> latents, text, pooled, ids;
};

}  // namespace

struct CacheWriter::State {
  State(const std::filesystem::path& target, CacheInfo what, DType type, int64_t rows)
      : folder(target), info(std::move(what)), dtype(type), rows_per_shard(rows) {}

  size_t bucket_of(int64_t height, int64_t width) {
    for (size_t i = 0; i < info.buckets.size(); ++i)
      if (info.buckets[i].height == height && info.buckets[i].width == width) return i;
    info.buckets.push_back({height, width, {}, {}});
    open.emplace_back();
    lines.emplace_back();
    return info.buckets.size() - 1;
  }

  void write_tensors(const std::string& name, const std::vector<std::pair<std::string, exec::FloatTensor>>& tensors) {
    std::vector<io::TensorDecl> declared;
    for (const auto& [tensor, values] : tensors)  // sizes stay f32: f16 has no whole numbers between 2048 and 2050
      declared.push_back({tensor, {tensor == "time_ids" ? DType::kF32 : dtype, values.shape}});
    io::SafetensorsWriter writer(folder.path() / name, declared);
    for (const auto& [tensor, values] : tensors)
      writer.write(tensor, {f32(values.shape), std::as_bytes(std::span(values.values))});
    writer.finish();
  }

  void close_shard(size_t index) {
    CacheBucket& bucket = info.buckets[index];
    OpenShard shard = std::move(open[index]);
    open[index] = {};
    const auto n = static_cast<int64_t>(shard.rows.size());
    if (n == 0) return;
    char number[16];
    std::snprintf(number, sizeof number, "%05zu", bucket.shards.size());
    const std::string name = "bucket-" + std::to_string(index) + "-" + number + ".safetensors";
    std::vector<std::pair<std::string, exec::FloatTensor>> tensors{
        {"latents", {Shape{n, info.channels, bucket.height, bucket.width}, std::move(shard.latents)}},
        {"encoder_hidden_states", {Shape{n, info.tokens, info.embedding}, std::move(shard.text)}}};
    if (info.pooled > 0) {
      tensors.push_back({"text_embeds", {Shape{n, info.pooled}, std::move(shard.pooled)}});
      tensors.push_back({"time_ids", {Shape{n, 6}, std::move(shard.ids)}});
    }
    write_tensors(name, tensors);
    for (const CacheRow& row : shard.rows) lines[index] += cache_row_text(row, name);
    bucket.shards.push_back(name);
    bucket.rows.push_back(n);
  }

  AtomicFolder folder;
  CacheInfo info;
  DType dtype;
  int64_t rows_per_shard;
  std::vector<OpenShard> open;     // by bucket
  std::vector<std::string> lines;  // of rows.jsonl, by bucket
  std::unordered_set<std::string> ids;
};

CacheWriter::CacheWriter(const std::filesystem::path& folder, CacheInfo info, DType dtype, int64_t rows_per_shard)
    : state_(std::make_unique<State>(folder, std::move(info), dtype, rows_per_shard)) {
  ESP_CHECK(state_->info.buckets.empty() && rows_per_shard > 0);
}

CacheWriter::~CacheWriter() = default;

void CacheWriter::add(std::string id, std::string caption, const exec::FloatTensor& latents, const Conditioning& conditioning) {
  State& s = *state_;
  const CacheInfo& info = s.info;
  ESP_CHECK(latents.shape.rank() == 3 && latents.shape[2] == info.channels);
  ESP_CHECK((conditioning.encoder_hidden_states.shape == Shape{info.tokens, info.embedding}));
  ESP_CHECK(info.pooled == 0 ||
            (conditioning.text_embeds.shape == Shape{info.pooled} && conditioning.time_ids.shape == Shape{6}));
  if (!s.ids.insert(id).second) throw UserError("[cache] id '" + printable(id) + "' is there already");
  const std::vector<float>* parts[] = {&latents.values, &conditioning.encoder_hidden_states.values,
                                       &conditioning.text_embeds.values, &conditioning.time_ids.values};
  for (const std::vector<float>* part : parts)
    for (const float value : *part)
      if (!std::isfinite(value) || (s.dtype == DType::kF16 && std::abs(value) > kLargestF16))
        throw UserError("[cache] row '" + printable(id) + "' has the value " + std::to_string(value) + ", which " +
                        std::string(name_of(s.dtype)) + " does not hold");
  const size_t bucket = s.bucket_of(latents.shape[0], latents.shape[1]);
  OpenShard& shard = s.open[bucket];
  const Shape one{1, latents.shape[0], latents.shape[1], latents.shape[2]};
  append(shard.latents, exec::nhwc_to_nchw({one, latents.values}).values);
  append(shard.text, conditioning.encoder_hidden_states.values);
  append(shard.pooled, conditioning.text_embeds.values);
  append(shard.ids, conditioning.time_ids.values);
  const auto row = static_cast<int64_t>(shard.rows.size());
  shard.rows.push_back({std::move(id), std::move(caption), bucket, s.info.buckets[bucket].shards.size(), row});
  if (row + 1 == s.rows_per_shard) s.close_shard(bucket);
}

void CacheWriter::finish(const Conditioning& unconditional) {
  State& s = *state_;
  if (s.ids.empty()) throw UserError("[cache] nothing to write: no picture was kept");
  ESP_CHECK((unconditional.encoder_hidden_states.shape == Shape{s.info.tokens, s.info.embedding}));
  ESP_CHECK(s.info.pooled == 0 || unconditional.text_embeds.shape == Shape{s.info.pooled});
  for (size_t bucket = 0; bucket < s.open.size(); ++bucket) s.close_shard(bucket);
  std::vector<std::pair<std::string, exec::FloatTensor>> tensors{{"encoder_hidden_states", unconditional.encoder_hidden_states}};
  if (s.info.pooled > 0) tensors.emplace_back("text_embeds", unconditional.text_embeds);
  s.write_tensors(s.info.unconditional, tensors);
  write_text(s.folder.path() / "index.json", cache_index_text(s.info));
  std::string rows;
  for (const std::string& lines : s.lines) rows += lines;
  write_text(s.folder.path() / "rows.jsonl", rows);
  s.folder.publish();
}

}  // namespace espalier::data
