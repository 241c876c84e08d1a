#pragma once
// The two text files of a cache, `index.json` and `rows.jsonl`, read strictly and written.

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/data/cache.h"

namespace espalier::data {

/// Every fault goes to `errors` with its place; what is at fault keeps its default.
/// Errors: UserError for a file that cannot be read or is no JSON.
CacheInfo read_cache_index(const std::filesystem::path& file, ErrorList& errors);

/// Rows in file order, which must be that of `info`'s buckets, shards and rows. After `kListedFaults` faults it stops reading.
std::vector<CacheRow> read_cache_rows(const std::filesystem::path& file, const CacheInfo& info, ErrorList& errors);
inline constexpr size_t kListedFaults = 20;

/// What the readers read.
std::string cache_index_text(const CacheInfo& info);
std::string cache_row_text(const CacheRow& row, const std::string& shard);

}  // namespace espalier::data
