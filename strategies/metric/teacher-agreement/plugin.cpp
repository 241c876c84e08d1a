#include <espalier/sdk.hpp>

#include <cmath>

namespace {

/// 1 - |s - t|² / |t|² over a batch, and the cosine between the two predictions: 1 where the student predicts as the teacher
/// does, 0 where it predicts nothing.
struct TeacherAgreement : esp::metric<TeacherAgreement> {
  static constexpr std::string_view id = "espalier.metric.teacher-agreement";
  static constexpr std::string_view doc =
      "Share of the teacher's prediction that the student explains, and the cosine between the two.";
  static constexpr std::string_view name = "agreement";
  static constexpr uint32_t reads = ESP_METRIC_OUTPUTS;

  static void measure(const esp::metric_view& in, esp::metric_values& out) {
    const esp::floats s = in.student_output(), t = in.teacher_output();
    double ss = 0, tt = 0, st = 0, difference = 0;
    for (size_t i = 0; i < s.size(); ++i) {
      const double a = s[i], b = t[i];
      ss += a * a, tt += b * b, st += a * b, difference += (a - b) * (a - b);
    }
    out.value(tt > 0 ? 1 - difference / tt : difference == 0);
    out.value("cosine", ss > 0 && tt > 0 ? st / std::sqrt(ss * tt) : ss == tt);
  }
};

}  // namespace

ESP_PLUGIN("espalier.metric.teacher-agreement", "0.1.0", "espalier", "none declared", TeacherAgreement)
