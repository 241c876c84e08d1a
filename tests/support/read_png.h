#pragma once
// Reads a PNG back: pixels and texts, with libpng's own reader.

#include <png.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace espalier::testing {

struct ReadPng {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
  std::map<std::string, std::string> texts;
};

inline ReadPng read_png(const std::string& bytes) {
  struct Source {
    const std::string& bytes;
    size_t at;
  } source{bytes, 0};
  png_structp png = png_create_read_struct(
      PNG_LIBPNG_VER_STRING, nullptr, [](png_structp, png_const_charp reason) { throw std::runtime_error(reason); }, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_read_fn(png, &source, [](png_structp p, png_bytep to, png_size_t count) {
    auto* from = static_cast<Source*>(png_get_io_ptr(p));
    if (from->at + count > from->bytes.size()) throw std::runtime_error("the file ends early");
    std::memcpy(to, from->bytes.data() + from->at, count);
    from->at += count;
  });
  png_read_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  ReadPng read{png_get_image_width(png, info), png_get_image_height(png, info), {}, {}};
  if (png_get_color_type(png, info) != PNG_COLOR_TYPE_RGB || png_get_bit_depth(png, info) != 8)
    throw std::runtime_error("not 8-bit RGB");
  png_bytepp rows = png_get_rows(png, info);
  for (int64_t y = 0; y < read.height; ++y) read.rgb.insert(read.rgb.end(), rows[y], rows[y] + read.width * 3);
  png_textp texts = nullptr;
  int count = 0;
  png_get_text(png, info, &texts, &count);
  for (int i = 0; i < count; ++i) read.texts[texts[i].key] = texts[i].text;
  png_destroy_read_struct(&png, &info, nullptr);
  return read;
}

}  // namespace espalier::testing
