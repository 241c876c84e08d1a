#pragma once
// The rows of a cache that a user means.

#include <span>
#include <string>
#include <vector>

#include "core/data/cache.h"

namespace espalier::sample {

/// The indices of the rows that `selectors` name, in that order; a row that is named twice is there twice.
///
/// A selector is, in this order: the id of a row; a whole caption; an index from 0; a range of indices, "0-15", both ends
/// included; a glob over captions and ids ("cat*", "*: dark skin*", in the cache's order); or several of these between commas.
/// Errors: one UserError "[--rows] …" for everything that is none of these (nearest captions and ids), beyond the last row, names
/// several rows by one caption (their ids), or is both an id and another row's index ("index:7" and "id:7" say which).
std::vector<size_t> select_rows(std::span<const data::CacheRow> rows, const std::vector<std::string>& selectors);

}  // namespace espalier::sample
