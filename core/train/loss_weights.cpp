#include "core/train/loss_weights.h"

#include "core/base/text.h"

namespace espalier::train {

LossWeights::LossWeights(const std::vector<distill::JointTerm>& terms, const std::vector<LossSpec>& losses)
    : terms_(terms), losses_(losses) {
  ErrorList errors;
  for (const distill::JointTerm& term : terms_) full_.push_back(losses_[term.use].weight);
  for (size_t use = 0; use < losses_.size(); ++use)
    for (const auto& [glob, factor] : losses_[use].weights) {
      bool found = false;
      std::vector<std::string> keys;
      for (size_t k = 0; k < terms_.size(); ++k) {
        if (terms_[k].use != use) continue;
        keys.push_back(terms_[k].key);
        if (!glob_match(glob, terms_[k].key)) continue;
        found = true;
        full_[k] *= factor;
      }
      if (!found)
        errors.add(losses_[use].plugin.place + ": weights: '" + printable(glob) + "' matches no term of this loss" +
                   did_you_mean(glob, keys));
    }
  errors.throw_if_any();
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

}  // namespace espalier::train
