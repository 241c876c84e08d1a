#include "core/data/cache.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/data/cache_index.h"
#include "core/exec/border.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"

namespace espalier::data {
namespace {

struct Expected {
  const char* name;
  Shape shape;
};

// Faults of one file against the tensors that it must have, no more and no fewer.
void check_tensors(const io::TensorSource& file, const std::vector<Expected>& expected, ErrorList& errors) {
  std::vector<std::string> names;
  for (const Expected& tensor : expected) {
    names.emplace_back(tensor.name);
    if (!file.contains(tensor.name)) {
      errors.add(file.describe() + ": has no tensor '" + tensor.name + "'; index.json asks for it as " + to_string(tensor.shape));
      continue;
    }
    const TensorType type = file.get(tensor.name).type;
    if (type.shape != tensor.shape)
      errors.add(file.describe() + ": '" + tensor.name + "' is " + to_string(type.shape) + ", and index.json asks for " +
                 to_string(tensor.shape));
    if (!is_floating(type.dtype))
      errors.add(file.describe() + ": '" + tensor.name + "' is of type " + std::string(name_of(type.dtype)) + "; save it as f32");
  }
  for (const std::string& name : file.names())
    if (std::find(names.begin(), names.end(), name) == names.end())
      errors.add(file.describe() + ": unknown tensor '" + printable(name) + "'" + did_you_mean(name, names));
}

exec::FloatTensor read_whole(const io::TensorSource& file, const char* name) {
  const io::TensorRef tensor = file.get(name);
  return {tensor.type.shape, io::read_f32(tensor)};
}

}  // namespace

Cache::Cache(std::filesystem::path folder) : folder_(std::move(folder)) {
  ErrorList errors;
  info_ = read_cache_index(folder_ / "index.json", errors);
  errors.throw_if_any();
  const auto attempt = [&](const auto& step) {
    try {
      step();
    } catch (const UserError& error) {
      errors.add(error.what());
    }
  };
  attempt([&] { rows_ = read_cache_rows(folder_ / "rows.jsonl", info_, errors); });
  const int64_t l = info_.tokens, e = info_.embedding, p = info_.pooled;
  for (const CacheBucket& bucket : info_.buckets) {
    shards_.emplace_back();
    for (size_t i = 0; i < bucket.shards.size(); ++i)
      attempt([&] {
        const int64_t n = bucket.rows[i];
        shards_.back().push_back(io::open_safetensors(folder_ / bucket.shards[i]));
        std::vector<Expected> expected{{"latents", Shape{n, info_.channels, bucket.height, bucket.width}},
                                       {"encoder_hidden_states", Shape{n, l, e}}};
        if (p > 0) {
          expected.push_back({"text_embeds", Shape{n, p}});
          expected.push_back({"time_ids", Shape{n, 6}});
        }
        check_tensors(*shards_.back().back(), expected, errors);
      });
  }
  attempt([&] {
    const io::TensorSourcePtr file = io::open_safetensors(folder_ / info_.unconditional);
    std::vector<Expected> expected{{"encoder_hidden_states", Shape{l, e}}};
    if (p > 0) expected.push_back({"text_embeds", Shape{p}});
    check_tensors(*file, expected, errors);
    if (!errors.empty()) return;
    unconditional_.encoder_hidden_states = read_whole(*file, "encoder_hidden_states");
    if (p > 0) unconditional_.text_embeds = read_whole(*file, "text_embeds");
  });
  errors.throw_if_any();
  for (size_t i = 0; i < rows_.size(); ++i) by_id_.emplace(rows_[i].id, i);
}

size_t Cache::find(std::string_view what) const {
  if (const auto found = by_id_.find(what); found != by_id_.end()) return found->second;
  std::vector<size_t> matches;
  for (size_t i = 0; i < rows_.size(); ++i)
    if (rows_[i].caption == what) matches.push_back(i);
  if (matches.size() == 1) return matches.front();
  const std::string place = folder_.string() + ": ";
  if (!matches.empty()) {
    std::vector<std::string> ids;
    for (size_t i = 0; i < matches.size() && i < kListedFaults; ++i) ids.push_back("'" + rows_[matches[i]].id + "'");
    throw UserError(place + "several rows have the caption '" + printable(what) + "'; name one by its id: " + join(ids, ", "));
  }
  size_t index = 0;
  const auto [end, fault] = std::from_chars(what.data(), what.data() + what.size(), index);
  if (fault == std::errc() && end == what.data() + what.size() && index < rows_.size()) return index;
  std::vector<std::string> names;
  for (const CacheRow& row : rows_) names.insert(names.end(), {row.id, row.caption});
  throw UserError(place + "no row has the id or caption '" + printable(what) + "'" + did_you_mean(what, names) +
                  "; a row is named by its id, its caption, or its index from 0 to " + std::to_string(rows_.size() - 1));
}

exec::FloatTensor Cache::row_of(const char* tensor, size_t index) const {
  const CacheRow& row = rows_.at(index);
  const io::TensorSource& shard = *shards_[row.bucket][row.shard];
  const io::TensorRef all = shard.get(tensor);
  std::vector<int64_t> dims(all.type.shape.dims().begin() + 1, all.type.shape.dims().end());
  const TensorType type{all.type.dtype, Shape(std::move(dims))};
  exec::FloatTensor values{type.shape,
                           io::read_f32({type, all.bytes.subspan(type.bytes() * static_cast<size_t>(row.row), type.bytes())})};
  for (const float value : values.values)
    if (!std::isfinite(value))
      throw UserError(shard.describe() + ": '" + tensor + "' row " + std::to_string(row.row) + " ('" + printable(row.id) +
                      "') has a value that is not finite; make the cache again");
  return values;
}

exec::FloatTensor Cache::latents(size_t index) const {
  exec::FloatTensor picture = row_of("latents", index);
  const Shape chw = picture.shape;
  picture.shape = Shape{1, chw[0], chw[1], chw[2]};
  picture = exec::nchw_to_nhwc(picture);
  picture.shape = Shape{chw[1], chw[2], chw[0]};
  return picture;
}

Conditioning Cache::conditioning(size_t index) const {
  Conditioning found{row_of("encoder_hidden_states", index), {}, {}};
  if (info_.pooled == 0) return found;
  found.text_embeds = row_of("text_embeds", index);
  found.time_ids = row_of("time_ids", index);
  return found;
}

}  // namespace espalier::data
