#include "core/data/codec.h"

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::data {
namespace {

constexpr int64_t kColours = 3, kBands = 4;

void require_channels(const exec::FloatTensor& tensor, int64_t channels, const char* codec, const char* what) {
  if (tensor.shape.rank() == 4 && tensor.shape[3] == channels) return;
  throw UserError(std::string("[codec ") + codec + "] takes " + what + " [N,H,W," + std::to_string(channels) + "], not " +
                  to_string(tensor.shape));
}

class Identity final : public Codec {
 public:
  std::string name() const override { return "identity"; }
  int64_t channels() const override { return kColours; }
  int64_t factor() const override { return 1; }
  exec::FloatTensor encode(const exec::FloatTensor& picture) const override {
    require_channels(picture, kColours, "identity", "pictures");
    return picture;
  }
  exec::FloatTensor decode(const exec::FloatTensor& latents) const override {
    require_channels(latents, kColours, "identity", "latents");
    return latents;
  }
};

// The 4x4 matrix of the transform is its own inverse: the same four sums go both ways.
void transform(const float from[kBands], float to[kBands]) {
  const float top = from[0] + from[1], top_difference = from[0] - from[1];
  const float bottom = from[2] + from[3], bottom_difference = from[2] - from[3];
  to[0] = (top + bottom) / 2;
  to[1] = (top_difference + bottom_difference) / 2;
  to[2] = (top - bottom) / 2;
  to[3] = (top_difference - bottom_difference) / 2;
}

class Haar final : public Codec {
 public:
  std::string name() const override { return "haar"; }
  int64_t channels() const override { return kBands * kColours; }
  int64_t factor() const override { return 2; }

  exec::FloatTensor encode(const exec::FloatTensor& picture) const override {
    require_channels(picture, kColours, "haar", "pictures");
    const Shape& s = picture.shape;
    if (s[1] % 2 != 0 || s[2] % 2 != 0)
      throw UserError("[codec haar] takes pictures of even height and width, not " + to_string(s));
    exec::FloatTensor latents{Shape{s[0], s[1] / 2, s[2] / 2, channels()}, std::vector<float>(picture.values.size())};
    for_each_value(latents.shape, [&](const size_t pixels[kBands], const size_t bands[kBands]) {
      float from[kBands], to[kBands];
      for (int i = 0; i < kBands; ++i) from[i] = picture.values[pixels[i]];
      transform(from, to);
      for (int i = 0; i < kBands; ++i) latents.values[bands[i]] = to[i];
    });
    return latents;
  }

  exec::FloatTensor decode(const exec::FloatTensor& latents) const override {
    require_channels(latents, channels(), "haar", "latents");
    const Shape& s = latents.shape;
    exec::FloatTensor picture{Shape{s[0], s[1] * 2, s[2] * 2, kColours}, std::vector<float>(latents.values.size())};
    for_each_value(s, [&](const size_t pixels[kBands], const size_t bands[kBands]) {
      float from[kBands], to[kBands];
      for (int i = 0; i < kBands; ++i) from[i] = latents.values[bands[i]];
      transform(from, to);
      for (int i = 0; i < kBands; ++i) picture.values[pixels[i]] = to[i];
    });
    return picture;
  }

 private:
  // Calls `visit` with the places of one colour's four pixels and of its four bands, for every colour of every latent pixel.
  template <typename Visit>
  static void for_each_value(const Shape& latents, const Visit& visit) {
    const auto rows = static_cast<size_t>(latents[0] * latents[1]), width = static_cast<size_t>(latents[2]);
    const size_t line = 2 * width * kColours;  // of the picture
    for (size_t row = 0; row < rows; ++row)
      for (size_t x = 0; x < width; ++x)
        for (size_t colour = 0; colour < kColours; ++colour) {
          const size_t pixel = 2 * row * line + 2 * x * kColours + colour, band = (row * width + x) * kBands * kColours + colour;
          const size_t pixels[kBands] = {pixel, pixel + kColours, pixel + line, pixel + line + kColours};
          const size_t bands[kBands] = {band, band + kColours, band + 2 * kColours, band + 3 * kColours};
          visit(pixels, bands);
        }
  }
};

}  // namespace

const std::vector<std::string>& codec_names() {
  static const std::vector<std::string> names{"identity", "haar"};
  return names;
}

std::unique_ptr<Codec> make_codec(const std::string& name) {
  if (name == "identity") return std::make_unique<Identity>();
  if (name == "haar") return std::make_unique<Haar>();
  throw UserError("[codec] '" + printable(name) + "' is not known" + did_you_mean(name, codec_names()) + "; it is one of " +
                  join(codec_names(), ", "));
}

}  // namespace espalier::data
