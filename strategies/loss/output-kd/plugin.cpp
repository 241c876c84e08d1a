// The output term of distillation: the student's prediction against the teacher's on the same noisy batch.

#include <espalier/sdk.hpp>

namespace {

struct OutputKd : esp::loss<OutputKd> {
  static constexpr std::string_view id = "espalier.loss.output-kd", name = "output";
  static constexpr std::string_view doc = "Squared error of the student's prediction against the teacher's.";
  void emit(const esp::loss_view& in, esp::loss_terms& out) const { out.term(mse(in.output(), in.teacher_output())); }
};

}  // namespace

ESP_PLUGIN("espalier.loss.output-kd", "0.1.0", "espalier", "none declared", OutputKd)
