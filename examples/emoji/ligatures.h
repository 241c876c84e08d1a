#pragma once
// Ligatures of an OpenType font: the sequences of glyphs that are drawn as one, such as the two letters of a flag.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace espalier::emoji {

/// Every ligature substitution (lookup type 4, and 7 around it) of a font's GSUB table, whatever script and feature names it:
/// an emoji font has them for nothing else.
class Ligatures {
 public:
  Ligatures() = default;
  /// `gsub`: the table's bytes; empty: no ligatures. Errors: UserError, beginning with `place`, where it points out of itself.
  Ligatures(std::span<const std::byte> gsub, const std::string& place);

  /// The lookups applied to `glyphs`, in the font's order, each from left to right with the first ligature that fits.
  std::vector<uint16_t> apply(std::vector<uint16_t> glyphs) const;

 private:
  struct Ligature {
    std::vector<uint16_t> rest;  // of its glyphs, after the first
    uint16_t glyph;
  };
  using Lookup = std::map<uint16_t, std::vector<Ligature>>;  // by first glyph
  std::vector<Lookup> lookups_;
};

}  // namespace espalier::emoji
