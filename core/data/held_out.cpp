#include "core/data/held_out.h"

#include <algorithm>
#include <set>

namespace espalier::data {

std::vector<std::string> held_out_ids(Source& source) {
  std::vector<std::string> ids;
  std::set<std::string> seen;
  for (int64_t i = 0; i < source.validation_batches(); ++i)
    for (const std::string& id : source.validation_batch(i).ids)
      if (seen.insert(id).second) ids.push_back(id);
  return ids;
}

std::vector<size_t> evenly(const std::vector<size_t>& rows, size_t want) {
  std::vector<size_t> chosen;
  const size_t count = std::min(rows.size(), want);
  for (size_t i = 0; i < count; ++i) chosen.push_back(rows[i * rows.size() / count]);
  return chosen;
}

}  // namespace espalier::data
