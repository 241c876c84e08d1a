#include "core/data/cache_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "core/base/files.h"
#include "core/base/text.h"
#include "core/data/codec.h"
#include "core/io/json_reader.h"

// Names of shards come from a file that nobody vouches for: only a plain file name in the cache's own folder is one.

namespace espalier::data {
namespace {

constexpr uint64_t kRowsLimitBytes = uint64_t{4} << 30;
constexpr int64_t kExtentLimit = int64_t{1} << 30;  // of any single extent: products of a few stay far below int64's

// Strict reading of one object: ask for the keys, then `finish` reports those nobody asked for.
class ObjectReader {
 public:
  ObjectReader(const io::JsonValue& object, std::string file, std::string what, ErrorList& errors)
      : object_(object), file_(std::move(file)), what_(std::move(what)), errors_(errors) {
    if (object_.kind() != io::JsonValue::Kind::kObject)
      fault(object_, what_ + " is " + std::string(object_.kind_name()) + ", not an object");
  }

  const io::JsonValue* get(const char* key, bool required = true) {
    known_.emplace_back(key);
    const io::JsonValue* value = object_.find(key);
    if (value == nullptr && required && object_.kind() == io::JsonValue::Kind::kObject)
      fault(object_, what_ + " has no key '" + key + "'");
    return value;
  }
  std::string text(const char* key) {
    const io::JsonValue* value = get(key);
    if (value == nullptr) return {};
    if (value->is_string()) return value->as_string();
    wrong(*value, key, "a text");
    return {};
  }
  int64_t count(const char* key, int64_t least) {
    const io::JsonValue* value = get(key);
    if (value == nullptr) return 0;
    if (value->is_int() && value->as_int() >= least && value->as_int() <= kExtentLimit) return value->as_int();
    wrong(*value, key, "a whole number from " + std::to_string(least));
    return 0;
  }
  const std::vector<io::JsonValue>* array(const char* key) {
    const io::JsonValue* value = get(key);
    if (value == nullptr) return nullptr;
    if (value->kind() == io::JsonValue::Kind::kArray && !value->elements().empty()) return &value->elements();
    wrong(*value, key, "an array of at least one element");
    return nullptr;
  }
  void finish() {
    if (object_.kind() != io::JsonValue::Kind::kObject) return;
    for (const auto& [key, value] : object_.members())
      if (std::find(known_.begin(), known_.end(), key) == known_.end())
        fault(value, "unknown key '" + printable(key) + "' in " + what_ + did_you_mean(key, known_));
  }
  void fault(const io::JsonValue& value, const std::string& message) { errors_.add(value.place(file_) + ": " + message); }
  void wrong(const io::JsonValue& value, const std::string& key, const std::string& wanted) {
    fault(value, "'" + key + "' is " + std::string(value.kind_name()) +
                     (value.is_int() ? " " + std::to_string(value.as_int()) : "") + "; it must be " + wanted);
  }

 private:
  const io::JsonValue& object_;
  std::string file_, what_;
  ErrorList& errors_;
  std::vector<std::string> known_;
};

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

CacheBucket read_bucket(ObjectReader& reader) {
  CacheBucket bucket{reader.count("height", 1), reader.count("width", 1), {}, {}};
  const auto* shards = reader.array("shards");
  const auto* rows = reader.array("rows");
  for (size_t i = 0; shards != nullptr && i < shards->size(); ++i) {
    const io::JsonValue& name = (*shards)[i];
    if (name.is_string() && is_plain_file_name(name.as_string()))
      bucket.shards.push_back(name.as_string());
    else
      reader.wrong(name, "shards", "names of files in this folder, without a path");
  }
  for (size_t i = 0; rows != nullptr && i < rows->size(); ++i) {
    const io::JsonValue& count = (*rows)[i];
    if (count.is_int() && count.as_int() > 0 && count.as_int() <= kExtentLimit)
      bucket.rows.push_back(count.as_int());
    else
      reader.wrong(count, "rows", "whole numbers from 1");
  }
  if (shards != nullptr && rows != nullptr && shards->size() != rows->size())
    reader.fault(rows->front(),
                 "'rows' counts " + std::to_string(rows->size()) + " shards, 'shards' names " + std::to_string(shards->size()));
  reader.finish();
  return bucket;
}

void check_codec(ObjectReader& reader, const CacheInfo& info) {
  std::vector<std::string> known = codec_names();
  known.emplace_back("vae");
  const io::JsonValue* value = reader.get("codec", false);
  if (value == nullptr || !value->is_string()) return;
  if (std::find(known.begin(), known.end(), info.codec) == known.end())
    reader.fault(*value, "codec '" + printable(info.codec) + "' is not known" + did_you_mean(info.codec, known) +
                             "; it is one of " + join(known, ", "));
  else if (info.codec != "vae" && info.channels != 0 && make_codec(info.codec)->channels() != info.channels)
    reader.fault(*value, "codec '" + info.codec + "' has " + std::to_string(make_codec(info.codec)->channels()) +
                             " channels, and 'channels' is " + std::to_string(info.channels));
}

// One line of rows.jsonl: a flat object of these four keys.
struct RowLine {
  std::string id, caption, shard;
  int64_t row = -1;
};

RowLine read_row_line(std::string_view line, const std::string& place, ErrorList& errors) {
  RowLine result;
  ErrorList found;
  const io::JsonValue value = io::parse_json(line, place, {uint64_t{1} << 20, 64, 4});
  ObjectReader reader(value, place, "a row", found);
  result.id = reader.text("id");
  result.caption = reader.text("caption");
  result.shard = reader.text("shard");
  result.row = reader.count("row", 0);
  reader.finish();
  for (const std::string& message : found.messages()) errors.add(message);
  return result;
}

}  // namespace

CacheInfo read_cache_index(const std::filesystem::path& file, ErrorList& errors) {
  const io::JsonValue root = io::parse_json(read_text(file), file.string());
  ObjectReader reader(root, file.string(), "the index of a cache", errors);
  CacheInfo info;
  if (const int64_t format = reader.count("format", 1); format > 1)
    reader.fault(*root.find("format"), "format " + std::to_string(format) + " is newer than 1, which this program reads");
  info.codec = reader.text("codec");
  info.channels = reader.count("channels", 1);
  info.tokens = reader.count("tokens", 1);
  info.embedding = reader.count("embedding", 1);
  info.pooled = reader.count("pooled", 0);
  info.source = reader.text("source");
  check_codec(reader, info);
  if (const io::JsonValue* scale = reader.get("latent_scale", false)) {
    if (scale->is_number() && scale->as_double() > 0)
      info.latent_scale = scale->as_double();
    else
      reader.wrong(*scale, "latent_scale", "a number above 0");
  }
  info.unconditional = reader.text("unconditional");
  if (!info.unconditional.empty() && !is_plain_file_name(info.unconditional))
    reader.wrong(*root.find("unconditional"), "unconditional", "the name of a file in this folder, without a path");
  const auto* buckets = reader.array("buckets");
  std::unordered_set<std::string> shards;
  for (size_t i = 0; buckets != nullptr && i < buckets->size(); ++i) {
    const io::JsonValue& value = (*buckets)[i];
    ObjectReader row(value, file.string(), "bucket " + std::to_string(i), errors);
    info.buckets.push_back(read_bucket(row));
    const CacheBucket& bucket = info.buckets.back();
    for (const std::string& shard : bucket.shards)
      if (!shards.insert(shard).second) row.fault(value, "shard '" + printable(shard) + "' is named twice");
    for (size_t k = 0; k < i; ++k)
      if (info.buckets[k].height == bucket.height && info.buckets[k].width == bucket.width && bucket.height != 0)
        row.fault(value, "bucket " + std::to_string(i) + " has the size of bucket " + std::to_string(k));
  }
  reader.finish();
  return info;
}

std::vector<CacheRow> read_cache_rows(const std::filesystem::path& file, const CacheInfo& info, ErrorList& errors) {
  const std::string text = read_text(file, kRowsLimitBytes);
  std::vector<CacheRow> rows;
  std::unordered_set<std::string> ids;
  const size_t before = errors.messages().size();
  size_t bucket = 0, shard = 0, begin = 0;
  int64_t row = 0, lines = 0, expected = 0;
  for (const CacheBucket& b : info.buckets)
    for (const int64_t count : b.rows) expected += count;
  for (; begin < text.size(); ++lines) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    const std::string place = file.string() + ":" + std::to_string(lines + 1);
    if (lines >= expected) continue;
    try {
      RowLine found = read_row_line(line, place, errors);
      const std::string& name = info.buckets[bucket].shards[shard];
      if (found.shard != name || found.row != row)
        errors.add(place + ": is row " + std::to_string(found.row) + " of '" + printable(found.shard) + "' where row " +
                   std::to_string(row) + " of '" + name + "' is due; lines stand in the order of buckets, shards and rows");
      if (!ids.insert(found.id).second) errors.add(place + ": id '" + printable(found.id) + "' is there already");
      rows.push_back({std::move(found.id), std::move(found.caption), bucket, shard, row});
    } catch (const UserError& error) {
      errors.add(error.what());
    }
    if (errors.messages().size() - before >= kListedFaults) {
      errors.add(place + ": further lines were not read");
      return rows;
    }
    if (++row == info.buckets[bucket].rows[shard]) row = 0, ++shard;
    if (shard == info.buckets[bucket].shards.size()) shard = 0, ++bucket;
  }
  if (lines != expected)
    errors.add(file.string() + ": has " + with_commas(lines) + " rows, and index.json counts " + with_commas(expected));
  return rows;
}

std::string cache_index_text(const CacheInfo& info) {
  nlohmann::ordered_json root{{"format", 1},           {"codec", info.codec},         {"channels", info.channels},
                              {"tokens", info.tokens}, {"embedding", info.embedding}, {"pooled", info.pooled},
                              {"source", info.source}};
  if (info.latent_scale != 1) root["latent_scale"] = info.latent_scale;
  root["buckets"] = nlohmann::ordered_json::array();
  for (const CacheBucket& bucket : info.buckets)
    root["buckets"].push_back(
        {{"height", bucket.height}, {"width", bucket.width}, {"shards", bucket.shards}, {"rows", bucket.rows}});
  root["unconditional"] = info.unconditional;
  return root.dump(2) + "\n";
}

std::string cache_row_text(const CacheRow& row, const std::string& shard) {
  const nlohmann::ordered_json line{{"id", row.id}, {"caption", row.caption}, {"shard", shard}, {"row", row.row}};
  return line.dump() + "\n";
}

}  // namespace espalier::data
