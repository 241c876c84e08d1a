#pragma once
// Which rows a source holds out, and some of them.

#include <string>
#include <vector>

#include "core/data/source.h"

namespace espalier::data {

/// Ids of all held-out rows, each once, in the order of their batches.
std::vector<std::string> held_out_ids(Source& source);

/// At most `want` of `rows`, evenly.
std::vector<size_t> evenly(const std::vector<size_t>& rows, size_t want);

}  // namespace espalier::data
