// The feature terms of distillation, one for each pair: the student's feature against the teacher's.

#include <espalier/sdk.hpp>

namespace {

struct FeatureKd : esp::loss<FeatureKd> {
  static constexpr std::string_view id = "espalier.loss.feature-kd", name = "feature";
  static constexpr std::string_view doc = "Squared error of the student's features against the teacher's, a term for each pair.";
  esp::feature_pairs pairs;
  std::string normalise = "none", mask = "none";
  static auto params() {
    return std::tuple{
        esp::param{&FeatureKd::pairs, "pairs", "which features are compared, and at which granularity"},
        esp::choice{&FeatureKd::normalise,
                    "normalise",
                    {"none", "teacher-norm"},
                    "teacher-norm: each term over the teacher's mean square, so that no pair dominates (arXiv 2404.11098)"},
        esp::choice{&FeatureKd::mask,
                    "mask",
                    {"none", "two-sigma"},
                    "two-sigma: values over two standard deviations from their sample's mean count as zero, in teacher and "
                    "student each by its own (arXiv 2412.01199)"}};
  }

  // The mask is a step, through which no gradient flows: what is kept is x itself.
  static esp::value within_two_sigma(const esp::value& x) {
    const esp::value centred = x - mean_per_sample(x, true);
    const esp::value bound = 2.0 * sqrt(mean_per_sample(square(centred), true));
    return x * (1.0 - maximum(sign(abs(centred) - bound), number(x, 0)));
  }

  void emit(const esp::loss_view& in, esp::loss_terms& out) const {
    for (const esp::feature_pair& pair : in.pairs()) {
      const bool masked = mask == "two-sigma";
      const esp::value teacher = masked ? within_two_sigma(pair.teacher) : pair.teacher;
      const esp::value error = mse(masked ? within_two_sigma(pair.student) : pair.student, teacher);
      const bool scaled = normalise == "teacher-norm";
      out.term(pair.student_path, scaled ? error / (mean(square(teacher)) + 1e-12) : error);
    }
  }
};

}  // namespace

ESP_PLUGIN("espalier.loss.feature-kd", "0.1.0", "espalier", "none declared", FeatureKd)
