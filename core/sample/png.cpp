// libpng leaves by longjmp when it fails, so what lies between setjmp and its calls has no destructors.

#include "core/sample/png.h"

#include <png.h>

#include <cstring>

#include "core/base/error.h"
#include "core/base/files.h"

namespace espalier::sample {
namespace {

struct Failure {
  char reason[200] = "";
};

void on_error(png_structp png, png_const_charp reason) {
  auto* failure = static_cast<Failure*>(png_get_error_ptr(png));
  std::strncpy(failure->reason, reason, sizeof failure->reason - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void append(png_structp png, png_bytep bytes, png_size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(bytes), count);
}

void flush(png_structp) {}

bool write_all(png_structp png, png_infop info, const Picture& picture, png_textp texts, int text_count, std::string* out) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_write_fn(png, out, append, flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width), static_cast<png_uint_32>(picture.height), 8,
               PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(png, info, texts, text_count);
  png_write_info(png, info);
  for (int64_t y = 0; y < picture.height; ++y) png_write_row(png, picture.rgb.data() + y * picture.width * 3);
  png_write_end(png, nullptr);
  return true;
}

}  // namespace

std::string encode_png(const Picture& picture, const std::vector<PngText>& texts) {
  ESP_CHECK(picture.rgb.size() == static_cast<size_t>(picture.width * picture.height * 3) && !picture.rgb.empty());
  std::vector<png_text> chunks;
  for (const PngText& each : texts) {
    ESP_CHECK(!each.keyword.empty() && each.keyword.size() < 80);
    png_text chunk{};
    chunk.compression = PNG_ITXT_COMPRESSION_NONE;
    chunk.key = const_cast<png_charp>(each.keyword.c_str());
    chunk.text = const_cast<png_charp>(each.text.c_str());
    chunk.itxt_length = each.text.size();
    chunk.lang = const_cast<png_charp>("");
    chunk.lang_key = const_cast<png_charp>("");
    chunks.push_back(chunk);
  }
  Failure failure;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &failure, on_error, on_warning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  std::string bytes;
  const bool written = info != nullptr && write_all(png, info, picture, chunks.data(), static_cast<int>(chunks.size()), &bytes);
  png_destroy_write_struct(&png, &info);
  if (!written) internal_error(std::string("libpng: ") + failure.reason);
  return bytes;
}

void write_png(const std::filesystem::path& file, const Picture& picture, const std::vector<PngText>& texts) {
  write_text(file, encode_png(picture, texts));
}

}  // namespace espalier::sample
