#pragma once
// Losses of the build tree, as a recipe would use them.

#include <memory>
#include <string>
#include <vector>

#include "core/distill/joint_graph.h"
#include "plugins/loss_adapter.h"
#include "plugins/registry.h"

namespace espalier::testing {

/// The loss `id` of the plugin file `path`, with `sets`, each "key=value".
inline std::unique_ptr<distill::LossStrategy> open_loss(const std::string& path, const std::string& id,
                                                        std::vector<std::string> sets = {}) {
  static std::map<std::string, std::unique_ptr<plugins::Registry>> registries;
  auto& registry = registries[path];
  if (!registry) registry = std::make_unique<plugins::Registry>(plugins::SearchRequest{.files = {path}});
  const plugins::Component& component = registry->find(plugins::kLossKind, id);
  ErrorList errors;
  plugins::ParamInput input;
  input.sets = std::move(sets);
  const plugins::ParamValues values = plugins::resolve_params(component.params, input, id, errors);
  errors.throw_if_any();
  return plugins::make_loss(component, values);
}

/// One of ours: task, output-kd, feature-kd.
inline std::unique_ptr<distill::LossStrategy> our_loss(const std::string& name, std::vector<std::string> sets = {}) {
  return open_loss(std::string(ESPALIER_BUILD_DIR) + "/plugins/loss-" + name + ".esp.so", "espalier.loss." + name,
                   std::move(sets));
}

/// Uses of `losses` with the pairs that each asks for.
inline std::vector<distill::LossUse> uses_of(const std::vector<std::unique_ptr<distill::LossStrategy>>& losses,
                                             const model::BlockTree& teacher, const model::BlockTree& student,
                                             const prune::OriginMap* origins = nullptr) {
  std::vector<distill::LossUse> uses;
  for (const auto& loss : losses) {
    uses.push_back({.loss = loss.get()});
    if (loss->pairs().wanted) uses.back().pairs = distill::feature_pairs(teacher, student, origins, loss->pairs());
  }
  return uses;
}

}  // namespace espalier::testing
