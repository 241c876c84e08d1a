#pragma once
// PNG files with text in them.

#include <filesystem>
#include <string>
#include <vector>

#include "core/sample/picture.h"

namespace espalier::sample {

/// One text of a PNG: an iTXt chunk, UTF-8.
struct PngText {
  std::string keyword;  // 1 to 79 bytes, as "Software", "Description"
  std::string text;
};

/// The bytes of an 8-bit RGB file; the same for the same input.
/// Errors: InternalError with libpng's reason.
std::string encode_png(const Picture& picture, const std::vector<PngText>& texts = {});

/// Writes it, whole or not at all. Errors: those of write_text.
void write_png(const std::filesystem::path& file, const Picture& picture, const std::vector<PngText>& texts = {});

}  // namespace espalier::sample
