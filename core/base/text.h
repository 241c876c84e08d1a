#pragma once
// Small text tools shared by every room: suggestions, globs, human-readable numbers, joining.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

/// The candidates nearest to `word` by Damerau-Levenshtein distance, best first, at most `limit`;
/// empty when nothing is near (distance over a third of the longer length, at least 2).
std::vector<std::string> nearest(std::string_view word, std::span<const std::string> candidates, size_t limit = 3);

/// "; did you mean 'a' or 'b'?", or "" when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// Whether `text` matches `pattern`; `*` matches any run of characters, dots included, `?` one character.
/// Cost: linear in practice, O(|pattern|·|text|) at worst.
bool glob_match(std::string_view pattern, std::string_view text);

std::string join(std::span<const std::string> parts, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);

/// 5135149760 → "4.78 GiB".
std::string human_bytes(uint64_t bytes);
/// 2567463684 → "2.57 B", 1.589e12 → "1.59 T".
std::string human_count(double count);
/// 2567463684 → "2,567,463,684".
std::string with_commas(int64_t count);
/// Makes text from files safe to print: control characters and invalid UTF-8 become \xNN; at most `limit` bytes.
std::string printable(std::string_view raw, size_t limit = 120);

}  // namespace espalier
