// What pruners learn on data, against independent ways to the same numbers: pruned copies run one by one, finite differences in
// double, features beside each other.

#include "core/calibrate/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <numeric>

#include "core/base/rng.h"
#include "core/calibrate/calibration_batch.h"
#include "core/calibrate/gated_graph.h"
#include "core/calibrate/unit_gates.h"
#include "core/distill/noise_schedule.h"
#include "core/inspect/session.h"
#include "core/io/memory_source.h"
#include "core/model/unet_graph.h"
#include "core/ops/interpret.h"
#include "core/prune/certificate.h"
#include "core/prune/strategy.h"
#include "plugins/backend_adapter.h"
#include "plugins/prune_adapter.h"
#include "tests/support/one_op.h"

namespace espalier::calibrate {
namespace {

using prune::Unit;
using prune::UnitKind;
using prune::UnitName;
using Clock = std::chrono::steady_clock;

const std::string kSource = ESPALIER_SOURCE_DIR;

/// Batches of normal latents, the same at each question.
class NoiseSource final : public data::Source {
 public:
  NoiseSource(const model::UNetConfig& config, data::BatchShape shape) : shapes_{shape} {
    shapes_[0].channels = config.in_channels;
    shapes_[0].embedding = config.cross_attention_dim[0];
    if (config.has_text_time())
      shapes_[0].pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim;
  }
  const std::vector<data::BatchShape>& buckets() const override { return shapes_; }
  data::Batch batch(int64_t step) override {
    const data::BatchShape& s = shapes_[0];
    data::Batch made;
    const auto put = [&](const char* name, Shape shape, double scale) {
      exec::FloatTensor& tensor = made.tensors[name];
      tensor.shape = std::move(shape);
      for (int64_t i = 0; i < tensor.shape.elements(); ++i) {
        const auto seed = static_cast<uint64_t>(step);
        const bool time = std::string_view(name) == "timestep";
        const double value = time ? std::floor(1000 * rng::uniform(seed, 1, static_cast<uint64_t>(i)))
                                  : scale * rng::normal(seed, rng::stream_of(name), static_cast<uint64_t>(i));
        tensor.values.push_back(static_cast<float>(value));
      }
    };
    put("latents", {s.batch, s.height, s.width, s.channels}, 0.7);
    put("noise", {s.batch, s.height, s.width, s.channels}, 1);
    put("timestep", {s.batch}, 1);
    put("encoder_hidden_states", {s.batch, s.tokens, s.embedding}, 0.5);
    if (s.pooled > 0) put("text_embeds", {s.batch, s.pooled}, 0.5), put("time_ids", {s.batch, 6}, 10);
    return made;
  }
  int64_t validation_batches() const override { return 0; }
  data::Batch validation_batch(int64_t) override { return {}; }
  int64_t rows() const override { return 1; }
  std::vector<std::string> describe() const override { return {}; }

 private:
  std::vector<data::BatchShape> shapes_;
};

CalibrationData data_of(NoiseSource& source, int64_t batches, std::shared_ptr<lower::Backend> backend) {
  CalibrationData data{.source = &source, .batches = batches};
  data.alpha_bars = distill::alpha_bars({.name = "squaredcos_cap_v2"});
  data.predicts_v = true;
  data.backend = std::move(backend);
  return data;
}

std::vector<UnitName> block_names(const model::BlockTree& tree) {
  std::vector<UnitName> names;
  for (const Unit& unit : prune::list_units(tree))
    if (unit.removable && (unit.kind == UnitKind::kTransformerBlock || unit.kind == UnitKind::kMidTail))
      names.push_back({unit.path, unit.kind});
  return names;
}

/// One pruned copy: a graph of its own without the unit, run on every batch.
prune::Score run_copy(const model::Model& teacher, const UnitName& unit, const CalibrationData& data,
                      const std::vector<exec::FloatTensor>& whole, const std::vector<Unit>& all) {
  const data::BatchShape& shape = data.source->buckets()[0];
  model::GraphOptions options{.batch = shape.batch, .height = shape.height, .width = shape.width, .tokens = shape.tokens};
  Graph graph = model::build_graph(teacher.tree, options);
  if (!unit.path.empty()) {
    prune::RemovalPlan plan{model::structure_hash(teacher.tree.config), {}, {}};
    for (const Unit& each : all)
      if (each.path == unit.path && each.kind == unit.kind)
        for (const std::string& row : each.rows) plan.removals.push_back({row, 0, "", 0, 0});
    graph = prune::bypass_regions(graph, plan);
  }
  inspect::SessionOptions session;
  session.backend = data.backend;
  exec::ExecOptions quiet;
  quiet.progress = false;
  exec::Executor executor(inspect::compile(graph, session), data.backend, teacher.weights, quiet);
  prune::Score sum;
  for (int64_t b = 0; b < data.batches; ++b) {
    const CalibrationBatch batch = calibration_batch(data.source->batch(b), data.alpha_bars, data.predicts_v);
    const exec::FloatTensor made = exec::run_named(executor, batch.tensors).at("sample");
    double task = 0, output = 0;
    for (size_t i = 0; i < made.values.size(); ++i) {
      task += std::pow(static_cast<double>(made.values[i]) - batch.tensors.at("target").values[i], 2);
      if (!whole.empty()) output += std::pow(static_cast<double>(made.values[i]) - whole[static_cast<size_t>(b)].values[i], 2);
    }
    const auto n = static_cast<double>(made.values.size()) * static_cast<double>(data.batches);
    sum.task += task / n, sum.output += output / n;
  }
  return sum;
}

TEST(Calibrate, scores_of_all_units_of_the_emoji_teacher_are_those_of_pruned_copies_in_half_their_time) {
  const model::Model teacher = model::load_model(kSource + "/examples/emoji/teacher", {});
  const auto backend = testing::open_backend("cpu", {});
  NoiseSource source(teacher.config, {.batch = 8, .height = 16, .width = 16, .tokens = 77});
  const CalibrationData data = data_of(source, 1, backend);
  const std::vector<UnitName> units = block_names(teacher.tree);
  ASSERT_EQ(units.size(), 71u);

  const auto begin = Clock::now();
  std::vector<std::vector<UnitName>> sets;
  for (const UnitName& unit : units) sets.push_back({unit});
  const std::vector<prune::Score> scores = calibrate(teacher.tree, teacher.weights, data)->evaluate(sets);
  const auto between = Clock::now();

  std::vector<exec::FloatTensor> whole;
  {
    inspect::SessionOptions session;
    session.backend = backend;
    const auto executor = inspect::open_session(teacher, {.batch = 8, .height = 16, .width = 16, .tokens = 77}, session);
    const CalibrationBatch batch = calibration_batch(source.batch(0), data.alpha_bars, data.predicts_v);
    whole.push_back(exec::run_named(*executor, batch.tensors).at("sample"));
  }
  double worst = 0;
  const std::vector<Unit> all = prune::list_units(teacher.tree);
  for (size_t i = 0; i < units.size(); ++i) {
    const prune::Score copy = run_copy(teacher, units[i], data, whole, all);
    worst = std::max(worst, std::abs(scores[i].output - copy.output) / copy.output);
    EXPECT_NEAR(scores[i].task, copy.task, 1e-5 * copy.task) << units[i].path;
    EXPECT_NEAR(scores[i].output, copy.output, 1e-3 * copy.output + 1e-12) << units[i].path;
  }
  const auto end = Clock::now();
  const double ours = std::chrono::duration<double>(between - begin).count(),
               naive = std::chrono::duration<double>(end - between).count();
  std::cout << "units 71, gates " << ours << " s, pruned copies " << naive << " s, ratio " << ours / naive << ", worst " << worst
            << '\n';
  EXPECT_LT(ours / naive, 0.5);
}

TEST(Calibrate, any_sets_give_the_bits_of_a_run_of_their_own_whatever_they_share) {
  const model::Model teacher = model::load_model(kSource + "/tests/golden/distill-sdxl-to-ssd-1b/teacher/unet", {});
  for (const auto& backend : {std::shared_ptr<lower::Backend>(), testing::open_backend("cpu", {})}) {
    NoiseSource source(teacher.config, {.batch = 1, .height = 8, .width = 8, .tokens = 4});
    const std::vector<UnitName> units = block_names(teacher.tree);
    std::vector<std::vector<UnitName>> sets{{}};
    for (uint64_t k = 0; k < 12; ++k) {
      std::vector<UnitName>& set = sets.emplace_back();
      for (size_t i = 0; i < units.size(); ++i)
        if (rng::uniform(k, 3, i) < 0.2) set.push_back(units[i]);
    }
    const auto together = calibrate(teacher.tree, teacher.weights, data_of(source, 1, backend))->evaluate(sets);
    CalibrationData no_memory = data_of(source, 1, backend);
    no_memory.snapshot_bytes = 0;  // what is common is computed again
    const auto without = calibrate(teacher.tree, teacher.weights, no_memory)->evaluate(sets);
    for (size_t i = 0; i < sets.size(); ++i) {
      const auto alone = calibrate(teacher.tree, teacher.weights, data_of(source, 1, backend))->evaluate({sets[i]});
      EXPECT_EQ(together[i].task, alone[0].task) << i;
      EXPECT_EQ(together[i].output, alone[0].output) << i;
      EXPECT_EQ(together[i].output, without[i].output) << i;
    }
    EXPECT_EQ(together[0].output, 0);
  }
}

TEST(Calibrate, gradients_of_gates_are_finite_differences_in_double) {
  const model::Model teacher = model::load_model(kSource + "/tests/golden/distill-sdxl-to-ssd-1b/teacher/unet", {});
  NoiseSource source(teacher.config, {.batch = 1, .height = 4, .width = 4, .tokens = 2});
  const CalibrationData data = data_of(source, 1, testing::open_backend("cpu", {}));
  const std::vector<UnitName> units = block_names(teacher.tree);
  const auto gradients = calibrate(teacher.tree, teacher.weights, data)->gate_gradients(units);
  const Graph graph = score_graph(teacher.tree, source.buckets()[0]);
  const CalibrationBatch batch = calibration_batch(source.batch(0), data.alpha_bars, true);
  const UnitGates gates(teacher.tree);
  const auto task = [&](const std::vector<size_t>& moved, double by) {
    const auto values = [&](const Node& node) -> std::vector<double> {
      const auto elements = static_cast<size_t>(graph.type(node.results[0]).shape.elements());
      if (node.kind == NodeKind::kParam) {
        const std::vector<float> weights = io::read_f32(teacher.weights->get(node.label));
        return {weights.begin(), weights.end()};
      }
      std::vector<double> out(elements, node.label == "gates" ? 1.0 : 0.0);
      if (node.label == "gates")
        for (const size_t gate : moved) out[gate] += by;
      if (const auto at = batch.tensors.find(node.label); at != batch.tensors.end())
        out.assign(at->second.values.begin(), at->second.values.end());
      return out;
    };
    return ops::interpret(graph, values, false)[1][0];
  };
  double largest = 0;
  for (const auto& each : gradients) largest = std::max(largest, std::abs(each.mean));
  for (const size_t i : {size_t{0}, units.size() / 3, units.size() / 2, units.size() - 1}) {
    const std::vector<size_t> moved = gates.of(units[i]);
    const double difference = (task(moved, 1e-4) - task(moved, -1e-4)) / 2e-4;
    EXPECT_NEAR(gradients[i].mean, difference, 1e-4 * largest) << units[i].path;
    EXPECT_EQ(gradients[i].magnitude, std::abs(gradients[i].mean));
  }
}

TEST(Calibrate, statistics_are_those_of_features_that_lie_beside_each_other) {
  const model::Model teacher = model::load_model(kSource + "/examples/emoji/teacher", {});
  const auto backend = testing::open_backend("cpu", {});
  NoiseSource source(teacher.config, {.batch = 2, .height = 16, .width = 16, .tokens = 77});
  const CalibrationData data = data_of(source, 2, backend);
  const std::string module = "up_blocks.0.attentions.1.transformer_blocks.";
  std::vector<UnitName> units;
  for (int i = 1; i < 10; ++i) units.push_back({module + std::to_string(i), UnitKind::kTransformerBlock});
  const auto statistics = calibrate(teacher.tree, teacher.weights, data)->statistics(units);
  inspect::SessionOptions session;
  session.backend = backend;
  const auto executor =
      inspect::open_session(teacher, {.batch = 2, .height = 16, .width = 16, .tokens = 77, .taps = {module + "?"}}, session);
  std::vector<double> cosine(units.size()), moved(units.size()), norm(units.size());
  for (int64_t b = 0; b < data.batches; ++b) {
    const auto taps = exec::run_named(*executor, calibration_batch(source.batch(b), data.alpha_bars, true).tensors);
    for (size_t u = 0; u < units.size(); ++u) {
      const exec::FloatTensor &x = taps.at(module + std::to_string(u)), &y = taps.at(module + std::to_string(u + 1));
      const auto channels = static_cast<size_t>(x.shape.back());
      double sum = 0;
      for (size_t at = 0; at < x.values.size(); at += channels) {
        double xx = 0, yy = 0, xy = 0;
        for (size_t c = at; c < at + channels; ++c) {
          const double a = x.values[c], b2 = y.values[c];
          xx += a * a, yy += b2 * b2, xy += a * b2, moved[u] += (b2 - a) * (b2 - a), norm[u] += a * a;
        }
        sum += xy / std::sqrt(xx * yy);
      }
      cosine[u] += sum / static_cast<double>(x.values.size() / channels) / static_cast<double>(data.batches);
    }
  }
  for (size_t u = 0; u < units.size(); ++u) {
    EXPECT_NEAR(statistics[u].cosine, cosine[u], 1e-5) << units[u].path;
    EXPECT_NEAR(statistics[u].relative_norm, std::sqrt(moved[u] / norm[u]), 1e-4 * statistics[u].relative_norm) << units[u].path;
  }
}

TEST(Calibrate, a_whole_stage_has_no_gate_and_unknown_units_get_the_nearest) {
  const model::Model teacher = model::load_model(kSource + "/tests/golden/distill-sdxl-to-ssd-1b/teacher/unet", {});
  NoiseSource source(teacher.config, {.batch = 1, .height = 8, .width = 8, .tokens = 4});
  const auto made = calibrate(teacher.tree, teacher.weights, data_of(source, 1, nullptr));
  EXPECT_THAT(
      [&] {
        made->evaluate({{{"down_blocks.2.attentions.0.transformer_block.1", UnitKind::kTransformerBlock}}});
      },
      ::testing::ThrowsMessage<UserError>(
          ::testing::HasSubstr("did you mean 'down_blocks.2.attentions.0.transformer_blocks.1'")));
  for (const Unit& unit : prune::list_units(teacher.tree))
    if (unit.kind == UnitKind::kStage && unit.removable) {
      EXPECT_THAT(
          [&] {
            made->evaluate({{{unit.path, unit.kind}}});
          },
          ::testing::ThrowsMessage<UserError>(::testing::HasSubstr("has no gate")));
    }
}

}  // namespace
}  // namespace espalier::calibrate
