#include <espalier/sdk.hpp>

#include <cmath>
#include <vector>

namespace {

/// Structural similarity (Wang et al. 2004, doi:10.1109/TIP.2003.819861): an 11x11 Gaussian window of deviation 1.5, k1 = 0.01,
/// k2 = 0.03, range 1, each channel by itself, windows that lie wholly inside, biased (co)variances; as
/// skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1), which
/// leaves the same border out of its mean. Pictures smaller than the window take one as large as they are.
struct Ssim : esp::metric<Ssim> {
  static constexpr std::string_view id = "espalier.metric.ssim";
  static constexpr std::string_view doc =
      "Structural similarity of the student's pictures to the teacher's at equal seeds; 1 is equal.";
  static constexpr uint32_t reads = ESP_METRIC_PICTURES;

  static std::vector<double> window(size_t size) {
    std::vector<double> weights(size);
    double sum = 0;
    for (size_t i = 0; i < size; ++i) {
      const double x = static_cast<double>(i) - static_cast<double>(size - 1) / 2;
      sum += weights[i] = std::exp(-x * x / (2 * 1.5 * 1.5));
    }
    for (double& w : weights) w /= sum;
    return weights;
  }

  static double at_window(const float* s, const float* t, size_t row, size_t pixel, const std::vector<double>& high,
                          const std::vector<double>& wide) {
    double ms = 0, mt = 0, ss = 0, tt = 0, st = 0;
    for (size_t y = 0; y < high.size(); ++y)
      for (size_t x = 0; x < wide.size(); ++x) {
        const double w = high[y] * wide[x], a = s[y * row + x * pixel], b = t[y * row + x * pixel];
        ms += w * a, mt += w * b, ss += w * a * a, tt += w * b * b, st += w * a * b;
      }
    constexpr double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
    return (2 * ms * mt + c1) * (2 * (st - ms * mt) + c2) / ((ms * ms + mt * mt + c1) * (ss - ms * ms + tt - mt * mt + c2));
  }

  static void measure(const esp::metric_view& in, esp::metric_values& out) {
    const esp::floats s = in.student_pictures(), t = in.teacher_pictures();
    const size_t count = s.extent(0), height = s.extent(1), width = s.extent(2), channels = s.extent(3), row = width * channels;
    const std::vector<double> high = window(std::min<size_t>(11, height)), wide = window(std::min<size_t>(11, width));
    double sum = 0;
    size_t windows = 0;
    for (size_t n = 0; n < count; ++n)
      for (size_t y = 0; y + high.size() <= height; ++y)
        for (size_t x = 0; x + wide.size() <= width; ++x)
          for (size_t c = 0; c < channels; ++c, ++windows) {
            const size_t at = n * height * row + y * row + x * channels + c;
            sum += at_window(s.data() + at, t.data() + at, row, channels, high, wide);
          }
    out.value(sum / static_cast<double>(windows));
  }
};

}  // namespace

ESP_PLUGIN("espalier.metric.ssim", "0.1.0", "espalier", "none declared", Ssim)
