#pragma once
// Pictures of an emoji font.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace espalier::emoji {

/// A bitmap as the font has it: rows of B,G,R,A bytes, the colours multiplied by alpha.
struct Bitmap {
  int width = 0, height = 0;
  std::vector<uint8_t> bgra;
};

/// A font with colour bitmaps (tables CBDT and CBLC), read with FreeType.
class EmojiFont {
 public:
  /// Errors: UserError when the file is no font, or has no colour bitmaps.
  explicit EmojiFont(const std::filesystem::path& file);
  ~EmojiFont();
  EmojiFont(const EmojiFont&) = delete;
  EmojiFont& operator=(const EmojiFont&) = delete;

  /// The one glyph that draws `code_points`, after the font's ligatures; variation selector 16 asks for the colour picture that
  /// this font draws anyway, and is left out. Nothing where the font lacks a character or draws them as several glyphs.
  std::optional<uint32_t> glyph_of(std::span<const char32_t> code_points) const;
  /// Errors: UserError when the glyph has no colour bitmap.
  Bitmap draw(uint32_t glyph) const;
  /// "Noto Color Emoji Version 2.042".
  std::string name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier::emoji
