#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/sample/sampler.h"

namespace espalier::sample {

std::unique_ptr<Sampler> make_sampler(std::string_view name, const SchedulerConfig& config, int steps, double eta) {
  static const std::vector<std::string> known{"ddim", "euler"};
  std::string chosen(name);
  if (name.empty()) {
    if (config.class_name == "DDIMScheduler") chosen = "ddim";
    if (config.class_name == "EulerDiscreteScheduler") chosen = "euler";
    if (chosen.empty())
      throw UserError(
          config.class_name.empty()
              ? "[sample] the scheduler config has no '_class_name'; name a sampler: ddim or euler"
              : fmt::format("[sample] the scheduler config is of {}, which is not implemented; ddim and euler can use "
                            "its noise schedule when you name one of them",
                            printable(config.class_name, 60)));
  }
  if (chosen != "ddim" && eta != 0) throw UserError("[sample] eta is DDIM's; euler puts no noise back");
  if (chosen == "ddim") return make_ddim(config, steps, eta);
  if (chosen == "euler") return make_euler(config, steps);
  throw UserError(fmt::format("[sample] there is no sampler '{}'{}; there are {}", printable(chosen), did_you_mean(chosen, known),
                              join(known, ", ")));
}

}  // namespace espalier::sample
