#include "core/train/loss_weights.h"

#include <algorithm>
#include <set>

#include "core/base/text.h"

namespace espalier::train {

LossWeights::LossWeights(const std::vector<distill::JointTerm>& terms, const std::vector<LossSpec>& losses)
    : terms_(terms), losses_(losses) {
  for (const distill::JointTerm& term : terms_) {
    double& weight = full_.emplace_back(losses_[term.use].weight);
    for (const auto& [glob, factor] : losses_[term.use].weights)
      if (glob_match(glob, term.key)) weight *= factor;
  }
}

std::vector<float> LossWeights::at(int64_t t) const {
  std::vector<float> weights;
  for (size_t k = 0; k < terms_.size(); ++k) {
    const LossSpec& loss = losses_[terms_[k].use];
    const bool counts = t >= loss.start && (loss.end == 0 || t < loss.end);
    weights.push_back(counts ? static_cast<float>(full_[k]) : 0.0f);
  }
  return weights;
}

void check_globs(const std::vector<std::vector<distill::JointTerm>>& stages, const std::vector<LossSpec>& losses,
                 ErrorList& errors) {
  for (size_t use = 0; use < losses.size(); ++use) {
    if (losses[use].weights.empty()) continue;
    std::set<std::string> found;
    for (const std::vector<distill::JointTerm>& terms : stages)
      for (const distill::JointTerm& term : terms)
        if (term.use == use) found.insert(term.key);
    const std::vector<std::string> keys(found.begin(), found.end());
    for (const auto& [glob, factor] : losses[use].weights)
      if (std::none_of(keys.begin(), keys.end(), [&glob = glob](const std::string& key) { return glob_match(glob, key); }))
        errors.add(losses[use].plugin.place + ": weights: '" + printable(glob) + "' matches no term of this loss" +
                   (stages.size() > 1 ? " in any stage" : "") + did_you_mean(glob, keys));
  }
}

}  // namespace espalier::train
