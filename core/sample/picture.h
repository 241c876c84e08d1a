#pragma once
// Pictures as bytes, and how several become one.

#include <cstdint>
#include <string>
#include <vector>

#include "core/exec/tensor.h"

namespace espalier::sample {

struct Picture {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // rows from the top, three bytes a pixel
};

/// [N,H,W,3] in [-1,1] as N pictures: -1 is black, 1 is white, what lies outside is clipped.
std::vector<Picture> pictures_of(const exec::FloatTensor& values);

/// Each pixel as a square of `factor` by `factor`.
Picture enlarged(const Picture& picture, int64_t factor);

struct GridOptions {
  int64_t columns = 0;  // 0: the least whose square holds all of them
  int64_t scale = 1;    // each picture enlarged
  int64_t gap_px = 4;   // between and around the pictures
  uint8_t grey = 0xDD;  // of the gaps
};

int64_t grid_columns(size_t pictures, const GridOptions& options);

struct Size {
  int64_t width = 0, height = 0;
};
/// Of the grid of so many pictures of which the largest, not yet enlarged, has the size `cell`.
Size grid_size(Size cell, size_t pictures, const GridOptions& options);

/// The pictures in reading order. A cell has the largest width and height; a smaller picture lies in its middle.
Picture grid_of(const std::vector<Picture>& pictures, const GridOptions& options = {});

}  // namespace espalier::sample
