#include "core/train/make_losses.h"

#include "core/train/metric_sums.h"

namespace espalier::train {

Losses make_losses(const Recipe& recipe, const Services& services, const data::Source& source) {
  Losses losses;
  for (const LossSpec& loss : recipe.losses) losses.made.push_back(services.make_loss(loss.plugin));
  const RunMetrics metrics(recipe, services, source);
  losses.outputs = metrics.reads_outputs();
  losses.metrics = metrics.names();
  return losses;
}

}  // namespace espalier::train
