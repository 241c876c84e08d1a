// The task term: how far the student's prediction is from the noise, or the velocity, that was mixed in.

#include <espalier/sdk.hpp>

namespace {

struct Task : esp::loss<Task> {
  static constexpr std::string_view id = "espalier.loss.task", name = "task";
  static constexpr std::string_view doc = "Squared error of the student's prediction against the true noise or velocity.";
  std::string weighting = "none";
  double gamma = 5.0;
  static auto params() {
    return std::tuple{
        esp::choice{&Task::weighting,
                    "weighting",
                    {"none", "min-snr"},
                    "min-snr: a sample counts min(SNR, gamma) / SNR, for v-prediction over SNR + 1 (arXiv 2303.09556)"},
        esp::param{&Task::gamma, "gamma", 1e-3, 1e6, "of min-snr: the ratio above which samples count less"}};
  }

  void emit(const esp::loss_view& in, esp::loss_terms& out) const {
    const esp::value error = square(in.output() - in.target());
    if (weighting == "none") return out.term(mean(error));
    const esp::value signal = in.alpha_bar(), snr = signal / (1.0 - signal);
    // min(SNR, γ) / SNR is min(1, γ / SNR), which is finite where no signal is left.
    const esp::value weight =
        in.predicts_v() ? minimum(snr, number(snr, gamma)) / (snr + 1.0) : minimum(number(snr, 1), gamma / snr);
    out.term(mean(mean_per_sample(error) * weight));
  }
};

}  // namespace

ESP_PLUGIN("espalier.loss.task", "0.1.0", "espalier", "none declared", Task)
