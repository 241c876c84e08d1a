#pragma once
// Latents ⇄ pictures.

#include <memory>
#include <string>
#include <vector>

#include "core/exec/tensor.h"

namespace espalier::data {

/// Turns pictures into what a UNet is trained on, and its samples into pictures. Not clamped: a sample may leave [-1,1].
class Codec {
 public:
  virtual ~Codec() = default;
  virtual std::string name() const = 0;
  /// Channels of its latents, and how many pixels of the picture are one of the latents in either direction.
  virtual int64_t channels() const = 0;
  virtual int64_t factor() const = 0;
  /// Shapes: picture [N,H,W,3] → latents [N,H/factor,W/factor,channels]. Errors: UserError for sizes that it cannot take.
  virtual exec::FloatTensor encode(const exec::FloatTensor& picture) const = 0;
  /// Shapes: the inverse of `encode`.
  virtual exec::FloatTensor decode(const exec::FloatTensor& latents) const = 0;
};

/// "identity": the picture itself, 3 channels.
///
/// "haar": one level of the 2x2 Haar transform, 12 channels in four bands of R, G, B: with the pixels p00 p01 / p10 p11
///   average (p00+p01+p10+p11)/2, horizontal (p00-p01+p10-p11)/2, vertical (p00+p01-p10-p11)/2, diagonal (p00-p01-p10+p11)/2.
/// It is orthonormal: white noise on the latents is the same white noise on the pixels, and squared errors are equal. The average
/// band of a picture in [-1,1] is in [-2,2], and so is each difference.
///
/// Guarantees: decode(encode(x)) equals x to f32 rounding. Errors: UserError for another name, with the nearest.
std::unique_ptr<Codec> make_codec(const std::string& name);

/// Names that `make_codec` takes.
const std::vector<std::string>& codec_names();

}  // namespace espalier::data
