#pragma once
// TOML values as JSON, for programs that are spoken to in it.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/io/toml.h"

namespace espalier::io {

/// A TOML value as JSON; a date or a time is its text.
nlohmann::ordered_json json_of(const toml::node& node);
/// The same of a value's TOML text, as Trial::settings holds it.
nlohmann::ordered_json json_of_text(const std::string& text);

}  // namespace espalier::io
