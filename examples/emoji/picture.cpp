#include "examples/emoji/picture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/error.h"
#include "core/base/files.h"

namespace espalier::emoji {
namespace {

constexpr int kColours = 3;

// IEC 61966-2-1, both ways, values in [0,1].
double to_linear(double s) { return s <= 0.04045 ? s / 12.92 : std::pow((s + 0.055) / 1.055, 2.4); }
double to_srgb(double l) { return l <= 0.0031308 ? l * 12.92 : 1.055 * std::pow(l, 1 / 2.4) - 0.055; }

// The part of pixel `at` of the source that lies in pixel `to` of the target, in source pixels.
double overlap(int at, int to, double scale) {
  return std::max(0.0, std::min(at + 1.0, (to + 1) * scale) - std::max<double>(at, to * scale));
}

}  // namespace

exec::FloatTensor to_picture(const Bitmap& bitmap, int size_px) {
  ESP_CHECK(size_px > 0 && bitmap.width > 0 && bitmap.height > 0);
  const int side = std::max(bitmap.width, bitmap.height);
  const int left = (side - bitmap.width) / 2, top = (side - bitmap.height) / 2;
  std::array<double, 256> linear{};
  for (int i = 0; i < 256; ++i) linear[static_cast<size_t>(i)] = to_linear(i / 255.0);
  const auto light = [&](int y, int x, int colour) {  // of one pixel of the white square
    y -= top, x -= left;
    if (y < 0 || x < 0 || y >= bitmap.height || x >= bitmap.width) return 1.0;
    const uint8_t* pixel =
        bitmap.bgra.data() + 4 * (static_cast<size_t>(y) * static_cast<size_t>(bitmap.width) + static_cast<size_t>(x));
    return linear[static_cast<size_t>(std::min(255, pixel[2 - colour] + 255 - pixel[3]))];
  };
  const double scale = static_cast<double>(side) / size_px;
  exec::FloatTensor picture{Shape{1, size_px, size_px, kColours}, {}};
  for (int y = 0; y < size_px; ++y)
    for (int x = 0; x < size_px; ++x)
      for (int colour = 0; colour < kColours; ++colour) {
        double sum = 0;
        for (int v = static_cast<int>(y * scale); v < side && v < (y + 1) * scale; ++v)
          for (int u = static_cast<int>(x * scale); u < side && u < (x + 1) * scale; ++u)
            sum += overlap(v, y, scale) * overlap(u, x, scale) * light(v, u, colour);
        picture.values.push_back(static_cast<float>(2 * to_srgb(std::min(1.0, sum / (scale * scale))) - 1));
      }
  return picture;
}

void write_sheet(const std::filesystem::path& file, const std::vector<exec::FloatTensor>& pictures, int columns, int zoom) {
  ESP_CHECK(!pictures.empty() && columns > 0 && zoom > 0);
  const auto size = static_cast<size_t>(pictures.front().shape[1]), pixel = static_cast<size_t>(zoom);
  const size_t cell = size * pixel, across = std::min(pictures.size(), static_cast<size_t>(columns));
  const size_t down = (pictures.size() + across - 1) / across, width = across * cell, height = down * cell;
  std::string pixels(width * height * kColours, '\xff');
  for (size_t i = 0; i < pictures.size(); ++i)
    for (size_t y = 0; y < cell; ++y)
      for (size_t x = 0; x < cell; ++x)
        for (size_t colour = 0; colour < kColours; ++colour) {
          const float value = pictures[i].values[(y / pixel * size + x / pixel) * kColours + colour];
          const size_t at = ((i / across * cell + y) * width + i % across * cell + x) * kColours + colour;
          pixels[at] = static_cast<char>(static_cast<uint8_t>(std::lround((std::clamp(value, -1.0f, 1.0f) + 1) * 127.5f)));
        }
  write_text(file, "P6\n" + std::to_string(width) + " " + std::to_string(height) + "\n255\n" + pixels);
}

}  // namespace espalier::emoji
