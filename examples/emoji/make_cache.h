#pragma once
// The cache of an emoji font's pictures.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/exec/tensor.h"
#include "core/ir/dtype.h"

namespace espalier::emoji {

struct CacheRequest {
  std::filesystem::path font = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
  std::filesystem::path list = "/usr/share/unicode/emoji/emoji-test.txt";
  std::vector<std::string> groups = {"Smileys & Emotion", "Animals & Nature", "Food & Drink"};
  int size_px = 32;
  std::string codec = "haar";
  DType dtype = DType::kF16;
  std::filesystem::path out;
};

struct CacheSummary {
  std::vector<std::string> lines;           // what was kept and dropped and why, for people
  std::vector<exec::FloatTensor> pictures;  // as the cache holds them: decoded from its latents
};

/// Draws, captions, encodes and writes the cache. Errors: UserError of any of the steps; nothing is written then.
CacheSummary make_cache(const CacheRequest& request);

}  // namespace espalier::emoji
