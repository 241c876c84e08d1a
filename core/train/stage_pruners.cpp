#include "core/train/stage_pruners.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "core/base/error.h"
#include "core/base/sha256.h"
#include "core/calibrate/calibrate.h"
#include "core/data/source.h"
#include "core/distill/noise_schedule.h"
#include "core/io/memory_source.h"
#include "core/train/open_data.h"

namespace espalier::train {
namespace {

constexpr int32_t kMostCalls = 10'000;

using Rows = std::vector<prune::StrategyRows::Row>;

/// Whether `rows` leave a structure that a config can say.
bool applies(const model::BlockTree& tree, const std::vector<prune::Unit>& units, const Rows& rows, const std::string& id) {
  try {
    prune::StrategyRows asked;
    asked.rows = rows;
    prune::apply_plan(tree, prune::plan_of(tree, units, asked, id), id);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

/// About half of `rows`, spread evenly: every second one. Where that leaves what no config can say (blocks whose depths are
/// coupled), one more of the rows may complete it, or the other half is taken; empty when none of these applies.
Rows half_of(const Rows& rows, const std::function<bool(const Rows&)>& fits) {
  for (size_t first : {1, 0}) {
    Rows half, rest;
    for (size_t k = 0; k < rows.size(); ++k) (k % 2 == first ? half : rest).push_back(rows[k]);
    if (half.size() >= rows.size()) continue;  // of a single row: nothing is half of it
    if (half.empty() || fits(half)) return half;
    for (const auto& row : rest) {
      if (half.size() + 1 >= rows.size()) break;
      half.push_back(row);
      if (fits(half)) return half;
      half.pop_back();
    }
  }
  return {};
}

bool equal_prune(const StageSpec& a, const StageSpec& b) { return a.prune && b.prune && *a.prune->table == *b.prune->table; }

/// The first stage of the schedule that `stage` is of.
size_t first_of_schedule(const Recipe& recipe, size_t stage) {
  while (stage > 0 && equal_prune(recipe.stages[stage - 1], recipe.stages[stage])) --stage;
  return stage;
}

bool last_of_schedule(const Recipe& recipe, size_t stage) {
  return stage + 1 >= recipe.stages.size() || !equal_prune(recipe.stages[stage], recipe.stages[stage + 1]);
}

/// Rows of all calls on the student as it is, without surgery between them.
prune::StrategyRows rows_without_surgery(prune::PruneStrategy& pruner, const prune::AskOptions& options,
                                         const model::BlockTree& tree, const std::vector<prune::Unit>& units, int32_t& asked) {
  prune::StrategyRows all;
  for (int32_t call = 0; call < kMostCalls; ++call) {
    prune::StrategyInput input{units, &tree, prune::price_of(tree), model::write_config(tree.config), options.weights};
    input.stage = asked++;
    input.seed = options.seed;
    input.metrics = options.metrics;
    if (options.calibrate) input.calibration = options.calibrate(tree, options.weights);
    prune::StrategyRows more = pruner.next(input);
    size_t fresh = 0;
    for (prune::StrategyRows::Row& row : more.rows) {
      const auto same = [&](const prune::StrategyRows::Row& known) { return known.path == row.path && known.kind == row.kind; };
      if (std::any_of(all.rows.begin(), all.rows.end(), same)) continue;
      all.rows.push_back(std::move(row));
      ++fresh;
    }
    for (auto& [name, bytes] : more.artifacts) all.artifacts[name] = std::move(bytes);
    all.done = more.done;
    // One that looks at what is left sees the same model again and again here: what it has said by then is halved.
    if (more.done || !options.to_the_end || fresh == 0) return all;
  }
  throw UserError("[" + pruner.id() + "] does not say when it is done");
}

std::string weights_hash(const io::TensorSourcePtr& weights) {
  Sha256 hash;
  if (weights == nullptr) return "";
  for (const std::string& name : weights->names()) {
    hash.update(name);
    io::convert_chunks(weights->get(name), DType::kF32, [&](std::span<const std::byte> part) { hash.update(part); });
    weights->drop_pages(name);
  }
  return hash.hex();
}

/// What all questions of a run share.
struct CalibrationOfRun {
  Recipe recipe;
  std::shared_ptr<lower::Backend> backend;
  std::unique_ptr<data::Source> source = {};
  std::map<std::string, prune::CalibrationPtr> known = {};  // by structure and weights

  prune::CalibrationPtr of(const model::BlockTree& student, const io::TensorSourcePtr& weights) {
    prune::CalibrationPtr& made = known[model::structure_hash(student.config) + weights_hash(weights)];
    if (made != nullptr) {
      made->weights_are_in(weights);
      return made;
    }
    if (source == nullptr) source = open_data(recipe);
    calibrate::CalibrationData data{.source = source.get(), .batches = recipe.calibration_batches};
    data.alpha_bars = distill::alpha_bars(recipe.schedule);
    data.predicts_v = recipe.predicts_v;
    data.backend = backend;
    return made = calibrate::calibrate(student, weights, data);
  }
};

/// Reads no weight and opens no data until it is asked something: most pruners never do.
class WhenAsked final : public prune::Calibration {
 public:
  WhenAsked(std::shared_ptr<CalibrationOfRun> of_run, const model::BlockTree& student, io::TensorSourcePtr weights)
      : of_run_(std::move(of_run)), student_(student), weights_(std::move(weights)) {}
  int64_t batches() const override { return of_run_->recipe.calibration_batches; }
  std::vector<prune::Score> evaluate(const std::vector<std::vector<prune::UnitName>>& sets) override {
    return made().evaluate(sets);
  }
  std::vector<prune::GateGradient> gate_gradients(const std::vector<prune::UnitName>& units) override {
    return made().gate_gradients(units);
  }
  std::vector<prune::UnitStatistics> statistics(const std::vector<prune::UnitName>& units) override {
    return made().statistics(units);
  }
  std::vector<double> latency(const std::vector<prune::UnitName>& units, double& whole) override {
    return made().latency(units, whole);
  }

 private:
  prune::Calibration& made() {
    if (made_ == nullptr) made_ = of_run_->of(student_, weights_);
    return *made_;
  }
  std::shared_ptr<CalibrationOfRun> of_run_;
  model::BlockTree student_;
  io::TensorSourcePtr weights_;
  prune::CalibrationPtr made_;
};

}  // namespace

StageRemovals stage_removals(const Recipe& recipe, const Services& services, const prune::Calibrate& calibrate,
                             const StageQuestion& question, const PrunerState& before) {
  const auto pruner = services.make_pruner(*recipe.stages[question.stage].prune);
  StageRemovals out;
  out.state.schedule = static_cast<int64_t>(first_of_schedule(recipe, question.stage));
  prune::AskOptions options{.weights = question.weights, .seed = recipe.train.seed, .calibrate = calibrate};
  for (const auto& [name, number] : question.numbers) options.metrics[name] = number;
  options.to_the_end = last_of_schedule(recipe, question.stage);
  const model::BlockTree& tree = *question.student;
  if (before.schedule == out.state.schedule) {
    out.state = before;
    options.asked = before.asked;
    pruner->load(before.bytes);
    if (before.done) {
      out.plan.teacher = model::structure_hash(tree.config);
      return out;
    }
  }
  if (question.attempt == 0) {
    prune::Asked asked = prune::run_strategy(*pruner, tree, options);
    out.plan = std::move(asked.plan), out.artifacts = std::move(asked.artifacts);
    out.state.asked = asked.asked, out.state.done = asked.done;
  } else {
    const std::vector<prune::Unit> units = prune::list_units(tree);
    out.state.asked = options.asked;
    prune::StrategyRows rows = rows_without_surgery(*pruner, options, tree, units, out.state.asked);
    out.state.done = rows.done;
    out.artifacts = std::move(rows.artifacts);
    for (int64_t i = 0; i < question.attempt; ++i)
      rows.rows = half_of(rows.rows, [&](const Rows& half) { return applies(tree, units, half, pruner->id()); });
    out.plan = prune::plan_of(tree, units, rows, pruner->id());
  }
  out.state.bytes = pruner->save();
  return out;
}

bool schedule_goes_on(const Recipe& recipe, size_t stage) { return !last_of_schedule(recipe, stage); }

prune::Calibrate calibrate_on_data(const Recipe& recipe, const std::shared_ptr<lower::Backend>& backend) {
  const auto of_run = std::make_shared<CalibrationOfRun>(CalibrationOfRun{recipe, backend});
  return [of_run](const model::BlockTree& student, const io::TensorSourcePtr& weights) -> prune::CalibrationPtr {
    if (weights == nullptr) return nullptr;
    return std::make_shared<WhenAsked>(of_run, student, weights);
  };
}

}  // namespace espalier::train
