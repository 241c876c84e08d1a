#include "examples/emoji/emoji_font.h"

#include <ft2build.h>

#include <cstring>
#include FT_FREETYPE_H
#include FT_SFNT_NAMES_H
#include FT_TRUETYPE_IDS_H
#include FT_TRUETYPE_TABLES_H

#include "core/base/error.h"
#include "examples/emoji/ligatures.h"

namespace espalier::emoji {
namespace {

constexpr char32_t kVariationSelector16 = 0xFE0F;

std::vector<std::byte> read_table(FT_Face face, FT_ULong tag) {
  FT_ULong size = 0;
  if (FT_Load_Sfnt_Table(face, tag, 0, nullptr, &size) != 0) return {};
  std::vector<std::byte> bytes(size);
  if (FT_Load_Sfnt_Table(face, tag, 0, reinterpret_cast<FT_Byte*>(bytes.data()), &size) != 0) return {};
  return bytes;
}

}  // namespace

struct EmojiFont::State {
  explicit State(const std::filesystem::path& path) : file(path.string()) {
    if (FT_Init_FreeType(&library) != 0) throw UserError("[freetype] cannot be started");
  }
  ~State() {
    if (face != nullptr) FT_Done_Face(face);
    FT_Done_FreeType(library);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::string file;
  FT_Library library = nullptr;
  FT_Face face = nullptr;
  Ligatures ligatures;
};

EmojiFont::EmojiFont(const std::filesystem::path& file) : state_(std::make_unique<State>(file)) {
  if (FT_New_Face(state_->library, state_->file.c_str(), 0, &state_->face) != 0)
    throw UserError(state_->file + ": is not there or no font; install fonts-noto-color-emoji or give --font");
  if (!FT_HAS_COLOR(state_->face) || state_->face->num_fixed_sizes < 1 || FT_Select_Size(state_->face, 0) != 0)
    throw UserError(state_->file + ": has no colour bitmaps (table CBDT); use Noto Color Emoji");
  state_->ligatures = Ligatures(read_table(state_->face, FT_MAKE_TAG('G', 'S', 'U', 'B')), state_->file);
}

EmojiFont::~EmojiFont() = default;

std::optional<uint32_t> EmojiFont::glyph_of(std::span<const char32_t> code_points) const {
  std::vector<uint16_t> glyphs;
  for (const char32_t point : code_points) {
    if (point == kVariationSelector16) continue;
    const FT_UInt glyph = FT_Get_Char_Index(state_->face, point);
    if (glyph == 0) return std::nullopt;
    glyphs.push_back(static_cast<uint16_t>(glyph));
  }
  glyphs = state_->ligatures.apply(std::move(glyphs));
  if (glyphs.size() != 1) return std::nullopt;
  return glyphs.front();
}

Bitmap EmojiFont::draw(uint32_t glyph) const {
  const FT_Face face = state_->face;
  if (FT_Load_Glyph(face, glyph, FT_LOAD_COLOR) != 0 || face->glyph->format != FT_GLYPH_FORMAT_BITMAP ||
      face->glyph->bitmap.pixel_mode != FT_PIXEL_MODE_BGRA || face->glyph->bitmap.pitch < 0)
    throw UserError(state_->file + ": glyph " + std::to_string(glyph) + " has no colour bitmap");
  const FT_Bitmap& from = face->glyph->bitmap;
  Bitmap bitmap{static_cast<int>(from.width), static_cast<int>(from.rows), {}};
  const size_t line = size_t{4} * from.width;
  bitmap.bgra.resize(line * from.rows);
  for (size_t y = 0; y < from.rows; ++y)
    std::memcpy(bitmap.bgra.data() + y * line, from.buffer + y * static_cast<size_t>(from.pitch), line);
  return bitmap;
}

std::string EmojiFont::name() const {
  std::string name = state_->face->family_name != nullptr ? state_->face->family_name : state_->file;
  for (FT_UInt i = 0; i < FT_Get_Sfnt_Name_Count(state_->face); ++i) {
    FT_SfntName entry;
    if (FT_Get_Sfnt_Name(state_->face, i, &entry) != 0 || entry.name_id != TT_NAME_ID_VERSION_STRING ||
        entry.platform_id != TT_PLATFORM_MICROSOFT)
      continue;
    name += ' ';  // UTF-16, big-endian; ASCII in practice, and up to a ';' that begins what the font's makers add
    for (FT_UInt k = 0; k + 1 < entry.string_len && entry.string[k + 1] != ';'; k += 2)
      name += entry.string[k] == 0 && entry.string[k + 1] < 128 ? static_cast<char>(entry.string[k + 1]) : '?';
    break;
  }
  return name;
}

}  // namespace espalier::emoji
