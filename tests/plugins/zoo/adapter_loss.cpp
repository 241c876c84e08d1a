// Everything that a loss may ask for: a trained adapter for each pair, a composite, a logged value, pairs of any width.

#include <espalier/sdk.hpp>
#include <string>

namespace {

struct AdapterLoss : esp::loss<AdapterLoss> {
  static constexpr std::string_view id = "zoo.loss.adapter", doc = "Features behind a trained adapter.";
  static constexpr uint32_t flags = ESP_LOSS_ANY_WIDTH | ESP_LOSS_NON_NEGATIVE;
  static constexpr std::string_view name = "adapter";
  bool composite = true;
  esp::feature_pairs pairs{"block", {}};
  static auto params() {
    return std::tuple{esp::param{&AdapterLoss::composite, "composite", "the error as one named region"},
                      esp::param{&AdapterLoss::pairs, "pairs", "which features"}};
  }

  void emit(const esp::loss_view& in, esp::loss_terms& out) const {
    int number = 0;
    for (const esp::feature_pair& pair : in.pairs()) {
      const int32_t last = pair.student.type().rank - 1;
      const int64_t from = pair.student.type().dims[last], to = pair.teacher.type().dims[last];
      const esp::value weight = in.param("w" + std::to_string(number++), {to, from}, esp::identity());
      const esp::value bias = in.param("bias" + std::to_string(number), {to}, esp::zeros());
      const esp::value adapted = esp::op("linear", {pair.student, weight, bias});
      const auto error = [](const std::vector<esp::value>& v) { return mean(square(v[0] - v[1])); };
      const std::vector<esp::value> both{adapted, pair.teacher};
      out.term(pair.student_path, composite ? in.composite("zoo.composite.error", both, error) : error(both));
      out.log("power/" + std::string(pair.student_path), mean(square(pair.teacher)));
    }
  }
};

}  // namespace

ESP_PLUGIN("zoo.adapter", "1.0.0", "zoo", "MIT", AdapterLoss)
