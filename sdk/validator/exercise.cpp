// One piece of work for a component of each kind, and the little model it is done on.

#include <atomic>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/model/model.h"
#include "core/model/random_weights.h"
#include "core/model/unet_graph.h"
#include "plugins/backend_adapter.h"
#include "plugins/prune_adapter.h"
#include "sdk/validator/loss_case.h"
#include "sdk/validator/metric_case.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

constexpr const char* kConfig = R"({"_class_name": "UNet2DConditionModel", "addition_embed_type": "text_time",
 "addition_time_embed_dim": 8, "attention_head_dim": [2, 2, 2], "block_out_channels": [8, 16, 16], "cross_attention_dim": 16,
 "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "in_channels": 4, "layers_per_block": 2,
 "norm_num_groups": 4, "out_channels": 4, "projection_class_embeddings_input_dim": 64, "sample_size": 8,
 "transformer_layers_per_block": [1, 2, 10], "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
 "use_linear_projection": true})";

/// Scores that are a function of the units' names: what a strategy does with them can be compared.
class NamedScores final : public prune::Calibration {
 public:
  explicit NamedScores(uint64_t seed) : seed_(seed) {}
  int64_t batches() const override { return 2; }
  std::vector<prune::Score> evaluate(const std::vector<std::vector<prune::UnitName>>& sets) override {
    std::vector<prune::Score> out;
    for (const auto& set : sets) {
      prune::Score& score = out.emplace_back(prune::Score{1, 0});
      for (const prune::UnitName& unit : set) score.task += number(unit), score.output += number(unit);
    }
    return out;
  }
  std::vector<prune::GateGradient> gate_gradients(const std::vector<prune::UnitName>& units) override {
    std::vector<prune::GateGradient> out;
    for (const prune::UnitName& unit : units) out.push_back({number(unit) - 0.5, number(unit)});
    return out;
  }
  std::vector<prune::UnitStatistics> statistics(const std::vector<prune::UnitName>& units) override {
    std::vector<prune::UnitStatistics> out;
    for (const prune::UnitName& unit : units) out.push_back({number(unit), 1 - number(unit)});
    return out;
  }
  std::vector<double> latency(const std::vector<prune::UnitName>& units, double& whole) override {
    std::vector<double> out;
    for (const prune::UnitName& unit : units) out.push_back(number(unit));
    whole = 100;
    return out;
  }

 private:
  double number(const prune::UnitName& unit) const {
    for (const prune::Unit& known : tiny_model().units)
      if (known.path == unit.path && known.kind == unit.kind && known.removable)
        return rng::uniform(seed_, rng::stream_of(unit.path), static_cast<uint64_t>(unit.kind));
    throw UserError("calibration: '" + printable(unit.path) + "' is no unit of that kind that can be removed");
  }
  uint64_t seed_;
};

}  // namespace

TinyModel::TinyModel()
    : tree(model::build_tree(model::parse_config(kConfig, "the validator's model"))),
      units(prune::list_units(tree)),
      price(prune::price_of(tree)),
      weights(model::random_weights(tree, 1)) {}

const TinyModel& tiny_model() {
  static const TinyModel model;
  return model;
}

prune::StrategyInput input_of(const TinyModel& model, uint64_t seed) {
  prune::StrategyInput input{model.units, &model.tree, model.price, model::write_config(model.tree.config), model.weights};
  input.seed = seed;
  input.metrics = {{"total", 0.5}, {"val/output", 0.25}};
  input.calibration = std::make_shared<NamedScores>(seed);
  return input;
}

std::string refusal_of(const std::exception& error, const plugins::Component& component) {
  const std::string text = error.what(), frame = "[" + component.id + "] ";
  if (dynamic_cast<const InternalError*>(&error) != nullptr) fail(text);
  if (text.find("which the plugin ABI forbids") != text.npos) fail(text);
  const std::string said = text.rfind(frame, 0) == 0 ? text.substr(frame.size()) : text;
  for (const char* call : {"create", "next", "emit", "measure", "load", "save", "open_device"})
    for (const char* status : {"failed", "unsupported", "invalid argument", "cancelled"})
      if (said == std::string(call) + ": " + status) fail(said + ", with no text of why; rule ESP-R6");
  // A row that the host refused is no refusal of the model.
  for (const char* of_host : {"there is no unit '", "cannot be removed: ", "is removed twice", "is not a unit of kind "})
    if (said.rfind("remove: ", 0) == 0 && said.find(of_host) != said.npos) fail(said);
  return text;
}

std::vector<std::string> accepted_sets(const Subject& subject) {
  std::string refusal;
  for (uint64_t draw = 0; draw < 17; ++draw) {
    std::vector<std::string> sets;
    for (size_t i = 0; draw > 0 && i < subject.component->params.size(); ++i)
      if (const std::string set = random_set(subject.component->params[i], subject.seed, draw * 64 + i); !set.empty())
        sets.push_back(set);
    const std::string text = exercise(*subject.component, sets, subject.seed);
    if (text.empty()) return sets;
    if (refusal.empty()) refusal = text;
  }
  skip("it refuses the defaults and every draw: " + refusal);
}

std::string exercise(const plugins::Component& component, const std::vector<std::string>& sets, uint64_t seed) {
  const plugins::ParamValues values = values_of(component, sets);
  try {
    if (component.kind == "esp.prune/1") {
      plugins::make_pruner(component, values)->next(input_of(tiny_model(), seed));
    } else if (component.kind == "esp.loss/1") {
      LossCase(component, values, {}).emit();
    } else if (component.kind == "esp.metric/1") {
      MetricCase(seed, {}).measure(component, values);
    } else if (component.kind == "esp.backend/1") {
      plugins::open_backend(component, values);
    }
    return "";
  } catch (const Verdict&) {
    throw;
  } catch (const UserError& error) {
    return refusal_of(error, component);
  } catch (const VerifyError& error) {
    fail(error.what());
  } catch (const Error& error) {
    if (component.kind != "esp.backend/1") throw;
    return refusal_of(error, component);  // a device that the system does not give
  }
}

}  // namespace espalier::validator
