#pragma once
// --set a.b=v over a TOML tree.

#include <string>

#include "core/base/error.h"
#include "core/io/toml.h"

namespace espalier::train {

/// Lays "path=value" over `root`: the path's parts are keys, or indices of arrays; tables on the way are made. A part with dots
/// in it stands in quotes, as in TOML: loss.0.weights."feature/up_blocks.*"=2. The value is read as TOML, and as a bare string
/// where it is none. Faults ("--set …: …") go to `errors`.
void lay_over(toml::table& root, const std::string& set, ErrorList& errors);

/// The same of a value that is parsed already, and moved into the tree: a copy would not know its place. `place` begins the
/// faults.
void lay_over(toml::table& root, const std::string& path, toml::node&& value, const std::string& place, ErrorList& errors);

}  // namespace espalier::train
