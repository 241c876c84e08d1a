#include "examples/emoji/ligatures.h"

#include <algorithm>

#include "core/base/error.h"

// Source: OpenType 1.9, "GSUB - Glyph Substitution Table" and "OpenType Layout Common Table Formats". All numbers are big-endian,
// all offsets count from the table that they stand in.

namespace espalier::emoji {
namespace {

constexpr uint16_t kLigature = 4, kExtension = 7;

// A table of the font, from where it begins to the end of all.
class Table {
 public:
  Table(std::span<const std::byte> bytes, const std::string& place) : bytes_(bytes), place_(&place) {}

  uint16_t u16(size_t at) const {
    if (at + 2 > bytes_.size()) throw UserError(*place_ + ": its GSUB table points beyond its own end; the font is damaged");
    return static_cast<uint16_t>(std::to_integer<unsigned>(bytes_[at]) << 8 | std::to_integer<unsigned>(bytes_[at + 1]));
  }
  uint32_t u32(size_t at) const { return static_cast<uint32_t>(u16(at)) << 16 | u16(at + 2); }
  Table at(size_t offset) const { return {bytes_.subspan(std::min(offset, bytes_.size())), *place_}; }

 private:
  std::span<const std::byte> bytes_;
  const std::string* place_;
};

// The glyphs of a Coverage table, in the order of their indices.
std::vector<uint16_t> covered(const Table& coverage) {
  std::vector<uint16_t> glyphs;
  const bool ranges = coverage.u16(0) == 2;
  const uint16_t count = coverage.u16(2);
  for (size_t i = 0; i < count; ++i) {
    if (!ranges) {
      glyphs.push_back(coverage.u16(4 + 2 * i));
      continue;
    }
    const unsigned first = coverage.u16(4 + 6 * i), last = coverage.u16(6 + 6 * i);
    for (unsigned glyph = first; glyph <= last; ++glyph) glyphs.push_back(static_cast<uint16_t>(glyph));
  }
  return glyphs;
}

}  // namespace

Ligatures::Ligatures(std::span<const std::byte> gsub, const std::string& place) {
  if (gsub.empty()) return;
  const Table root(gsub, place);
  const Table lookups = root.at(root.u16(8));
  for (size_t i = 0; i < lookups.u16(0); ++i) {
    const Table lookup = lookups.at(lookups.u16(2 + 2 * i));
    Lookup found;
    for (size_t k = 0; k < lookup.u16(4); ++k) {
      Table subtable = lookup.at(lookup.u16(6 + 2 * k));
      uint16_t type = lookup.u16(0);
      if (type == kExtension) type = subtable.u16(2), subtable = subtable.at(subtable.u32(4));
      if (type != kLigature) continue;
      const std::vector<uint16_t> first = covered(subtable.at(subtable.u16(2)));
      const size_t sets = std::min<size_t>(subtable.u16(4), first.size());
      for (size_t set = 0; set < sets; ++set) {
        const Table ligatures = subtable.at(subtable.u16(6 + 2 * set));
        for (size_t n = 0; n < ligatures.u16(0); ++n) {
          const Table ligature = ligatures.at(ligatures.u16(2 + 2 * n));
          std::vector<uint16_t> rest;
          for (size_t c = 1; c < ligature.u16(2); ++c) rest.push_back(ligature.u16(2 + 2 * c));
          found[first[set]].push_back({std::move(rest), ligature.u16(0)});
        }
      }
    }
    if (!found.empty()) lookups_.push_back(std::move(found));
  }
}

std::vector<uint16_t> Ligatures::apply(std::vector<uint16_t> glyphs) const {
  for (const Lookup& lookup : lookups_)
    for (size_t at = 0; at < glyphs.size(); ++at) {
      const auto candidates = lookup.find(glyphs[at]);
      if (candidates == lookup.end()) continue;
      const auto next = glyphs.begin() + static_cast<std::ptrdiff_t>(at) + 1;
      for (const Ligature& ligature : candidates->second) {
        const auto length = static_cast<std::ptrdiff_t>(ligature.rest.size());
        if (glyphs.end() - next < length || !std::equal(ligature.rest.begin(), ligature.rest.end(), next)) continue;
        glyphs[at] = ligature.glyph;
        glyphs.erase(next, next + length);
        break;
      }
    }
  return glyphs;
}

}  // namespace espalier::emoji
