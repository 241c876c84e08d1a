#pragma once
// From a font's bitmap to the square picture that a UNet learns.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/exec/tensor.h"
#include "examples/emoji/emoji_font.h"

namespace espalier::emoji {

/// `bitmap` in the middle of a white square as wide as its longer side, scaled to `size_px` by averaging areas.
///
/// Alpha is applied to sRGB values, as programs that draw text do; areas are averaged in linear light, so that fine detail keeps
/// its brightness. Shapes: [1,S,S,3], sRGB in [-1,1].
exec::FloatTensor to_picture(const Bitmap& bitmap, int size_px);

/// Writes pictures [1,S,S,3] side by side, `columns` in a row, each pixel `zoom` wide, as a binary PPM. Values are clamped to
/// [-1,1].
void write_sheet(const std::filesystem::path& file, const std::vector<exec::FloatTensor>& pictures, int columns, int zoom);

}  // namespace espalier::emoji
