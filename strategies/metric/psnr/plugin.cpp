#include <espalier/sdk.hpp>

#include <cmath>

namespace {

/// 10 log10(1 / mean((s - t)²)) of pictures in 0 to 1, in dB; equal pictures give `most`.
struct Psnr : esp::metric<Psnr> {
  static constexpr std::string_view id = "espalier.metric.psnr";
  static constexpr std::string_view doc =
      "Peak signal-to-noise ratio of the student's pictures against the teacher's at equal seeds, in dB.";
  static constexpr uint32_t reads = ESP_METRIC_PICTURES;
  double most = 100;
  static auto params() {
    return std::tuple{esp::param{&Psnr::most, "most", 1, 1000, "dB of equal pictures, and the most that any give"}};
  }

  void measure(const esp::metric_view& in, esp::metric_values& out) const {
    const esp::floats s = in.student_pictures(), t = in.teacher_pictures();
    const size_t pictures = s.extent(0), each = s.size() / pictures;
    double sum = 0;
    for (size_t n = 0; n < pictures; ++n) {
      double squares = 0;
      for (size_t i = n * each; i < (n + 1) * each; ++i) {
        const double d = static_cast<double>(s[i]) - t[i];
        squares += d * d;
      }
      const double mean = squares / static_cast<double>(each);
      sum += mean > 0 ? std::min(most, -10 * std::log10(mean)) : most;
    }
    out.value(sum / static_cast<double>(pictures));
  }
};

}  // namespace

ESP_PLUGIN("espalier.metric.psnr", "0.1.0", "espalier", "none declared", Psnr)
