#include "core/sample/picture.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace espalier::sample {
namespace {

void paste(const Picture& picture, int64_t left, int64_t top, Picture& onto) {
  for (int64_t y = 0; y < picture.height; ++y)
    std::copy_n(picture.rgb.begin() + y * picture.width * 3, picture.width * 3,
                onto.rgb.begin() + ((top + y) * onto.width + left) * 3);
}

}  // namespace

std::vector<Picture> pictures_of(const exec::FloatTensor& values) {
  ESP_CHECK(values.shape.rank() == 4 && values.shape[3] == 3);
  std::vector<Picture> pictures;
  auto value = values.values.begin();
  for (int64_t n = 0; n < values.shape[0]; ++n) {
    Picture& picture = pictures.emplace_back(Picture{values.shape[2], values.shape[1], {}});
    picture.rgb.resize(static_cast<size_t>(picture.width * picture.height * 3));
    for (uint8_t& byte : picture.rgb) byte = static_cast<uint8_t>(std::lround((std::clamp(*value++, -1.0f, 1.0f) + 1) * 127.5f));
  }
  return pictures;
}

Picture enlarged(const Picture& picture, int64_t factor) {
  ESP_CHECK(factor >= 1);
  Picture large{picture.width * factor, picture.height * factor, {}};
  large.rgb.reserve(static_cast<size_t>(large.width * large.height * 3));
  for (int64_t y = 0; y < large.height; ++y)
    for (int64_t x = 0; x < large.width; ++x) {
      const auto from = picture.rgb.begin() + ((y / factor) * picture.width + x / factor) * 3;
      large.rgb.insert(large.rgb.end(), from, from + 3);
    }
  return large;
}

int64_t grid_columns(size_t pictures, const GridOptions& options) {
  const auto count = static_cast<int64_t>(pictures);
  if (options.columns > 0) return std::min(options.columns, count);
  int64_t columns = 1;
  while (columns * columns < count) ++columns;
  return columns;
}

Size grid_size(Size cell, size_t pictures, const GridOptions& options) {
  const int64_t columns = grid_columns(pictures, options), lines = (static_cast<int64_t>(pictures) + columns - 1) / columns;
  return {columns * (cell.width * options.scale + options.gap_px) + options.gap_px,
          lines * (cell.height * options.scale + options.gap_px) + options.gap_px};
}

Picture grid_of(const std::vector<Picture>& pictures, const GridOptions& options) {
  ESP_CHECK(!pictures.empty());
  const int64_t columns = grid_columns(pictures.size(), options), count = static_cast<int64_t>(pictures.size());
  Size most;
  for (const Picture& picture : pictures) most = {std::max(most.width, picture.width), std::max(most.height, picture.height)};
  const int64_t gap = options.gap_px, cell_width = most.width * options.scale, cell_height = most.height * options.scale;
  const Size size = grid_size(most, pictures.size(), options);
  Picture grid{size.width, size.height, {}};
  grid.rgb.assign(static_cast<size_t>(grid.width * grid.height * 3), options.grey);
  for (int64_t i = 0; i < count; ++i) {
    const Picture cell = enlarged(pictures[static_cast<size_t>(i)], options.scale);
    paste(cell, gap + i % columns * (cell_width + gap) + (cell_width - cell.width) / 2,
          gap + i / columns * (cell_height + gap) + (cell_height - cell.height) / 2, grid);
  }
  return grid;
}

}  // namespace espalier::sample
