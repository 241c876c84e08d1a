// Output distillation that every picture counts in alike: the squared error over the teacher's power.

#include <espalier/sdk.hpp>

struct NormMse : esp::loss<NormMse> {
  static constexpr std::string_view id = "com.example.loss.norm-mse";
  static constexpr std::string_view doc = "Squared error of the output over the power of the teacher's.";
  double eps = 1e-6;
  static auto params() { return std::tuple{esp::param{&NormMse::eps, "eps", 1e-12, 1.0, "floor under the teacher's power"}}; }

  void emit(const esp::loss_view& in, esp::loss_terms& out) const {
    const esp::value teacher = in.teacher_output();
    out.term(mse(in.output(), teacher) / (mean(square(teacher)) + eps));
  }
};

ESP_PLUGIN("com.example.loss", "1.0.0", "Example", "MIT", NormMse)
