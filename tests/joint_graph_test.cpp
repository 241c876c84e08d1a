// Teacher, student and losses as one graph.

#include "core/distill/joint_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "core/autodiff/gradient.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/distill/noise_schedule.h"
#include "core/io/memory_source.h"
#include "core/ir/verify.h"
#include "core/ir/walk.h"
#include "core/model/model.h"
#include "core/ops/interpret.h"
#include "tests/support/losses.h"

namespace espalier::distill {
namespace {

using espalier::testing::our_loss;
using espalier::testing::uses_of;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const std::string kTeacher = std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/distill-sdxl-to-ssd-1b/teacher/unet";
const JointOptions kSmall{.batch = 2, .height = 8, .width = 8, .tokens = 3};

std::vector<std::unique_ptr<LossStrategy>> three_losses(const std::vector<std::string>& feature = {}) {
  std::vector<std::unique_ptr<LossStrategy>> losses;
  losses.push_back(our_loss("task"));
  losses.push_back(our_loss("output-kd"));
  losses.push_back(our_loss("feature-kd", feature));
  return losses;
}

/// Numbers for the inputs of a joint graph whose student is its teacher.
ops::InterpretSource same_weights(const Graph& graph, const io::TensorSourcePtr& weights) {
  return [&graph, weights](const Node& node) {
    if (node.kind == NodeKind::kParam) {
      std::string name = node.label;
      if (name.starts_with(kTeacherPrefix)) name = name.substr(std::string(kTeacherPrefix).size());
      const std::vector<float> values = io::read_f32(weights->get(name));
      return std::vector<double>(values.begin(), values.end());
    }
    std::vector<double> values(static_cast<size_t>(graph.type(node.results[0]).shape.elements()));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = rng::normal(3, rng::stream_of(node.label), i);
      if (node.label == "timestep" || node.label == "time_ids") values[i] = static_cast<double>(100 + 300 * i);
      if (node.label == "alpha_bar") values[i] = 0.25 + 0.5 * static_cast<double>(i);
      if (node.label == "loss_weights") values[i] = 1.0 + static_cast<double>(i);
    }
    return values;
  };
}

TEST(JointGraph, of_a_model_with_itself_has_distillation_terms_of_exactly_zero) {
  const model::Model teacher = model::load_model(kTeacher);
  for (const char* option : {"pairs=sub-block", "pairs=block"}) {
    const auto losses = three_losses({option});
    const JointGraph joint = build_joint_graph(&teacher.tree, teacher.tree, uses_of(losses, teacher.tree, teacher.tree), kSmall);
    verify(joint.graph);
    const auto values = ops::interpret(joint.graph, same_weights(joint.graph, teacher.weights), false);
    ASSERT_EQ(values[1].size(), joint.terms.size());
    EXPECT_GT(values[1][0], 0) << "the task term";
    double total = values[1][0];
    for (size_t k = 1; k < joint.terms.size(); ++k) EXPECT_EQ(values[1][k], 0.0) << joint.terms[k].key;
    EXPECT_EQ(values[0][0], total) << "its weight is 1";
  }
}

TEST(JointGraph, total_is_the_weighted_sum_of_its_terms) {
  const model::Model teacher = model::load_model(kTeacher);
  const model::Model student =
      model::load_model(std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/distill-sdxl-to-ssd-1b/student/unet");
  const auto losses = three_losses();
  const JointGraph joint = build_joint_graph(&teacher.tree, student.tree, uses_of(losses, teacher.tree, student.tree), kSmall);
  const auto values = ops::interpret(joint.graph, same_weights(joint.graph, teacher.weights), false);
  double total = 0;
  for (size_t k = 0; k < joint.terms.size(); ++k) total += (1.0 + static_cast<double>(k)) * values[1][k];
  EXPECT_NEAR(values[0][0], total, 1e-12 * std::fabs(total));
  EXPECT_EQ(joint.terms.size(), 28u);
}

TEST(JointGraph, trains_every_tensor_of_the_student_and_none_of_the_teacher) {
  const model::Model teacher = model::load_model(kTeacher);
  const auto losses = three_losses();
  JointGraph joint = build_joint_graph(&teacher.tree, teacher.tree, uses_of(losses, teacher.tree, teacher.tree), kSmall);
  std::set<std::string> trained;
  for (Value v : joint.trained) trained.insert(joint.graph.def(v).label);
  EXPECT_EQ(trained.size(), model::tensor_specs(teacher.tree).size());
  const std::vector<Value> gradients = autodiff::append_gradient(joint.graph, joint.total, joint.trained);
  for (size_t i = 0; i < gradients.size(); ++i) EXPECT_TRUE(gradients[i].present()) << joint.graph.def(joint.trained[i]).label;
  // Frozen nodes are the teacher's, and no backward node stands in it.
  for (const Node& node : joint.graph.nodes()) {
    if (node.kind == NodeKind::kInput || node.kind == NodeKind::kConstant) continue;
    EXPECT_EQ(node.frozen, is_inside(node.path, "teacher") || node.label.starts_with("teacher.")) << node.path;
    EXPECT_FALSE(node.frozen && node.grad_of.present());
  }
}

/// A loss that is written here.
class Fake final : public LossStrategy {
 public:
  explicit Fake(std::function<std::vector<LossTerm>(Builder&, const LossView&)> emit) : emit_(std::move(emit)) {}
  std::string id() const override { return "test.fake"; }
  std::string default_name() const override { return "fake"; }
  PairsRequest pairs() const override { return {}; }
  std::vector<LossTerm> emit(Builder& b, const LossView& view) override { return emit_(b, view); }

 private:
  std::function<std::vector<LossTerm>(Builder&, const LossView&)> emit_;
};

/// The value of one loss's only term for outputs, targets and features that are given.
double term_of(LossStrategy& loss, bool predicts_v, const std::vector<double>& output, const std::vector<double>& target,
               const std::vector<double>& alpha_bar) {
  Graph graph;
  Builder b(graph);
  const auto n = static_cast<int64_t>(alpha_bar.size());
  const Shape shape{n, 1, 1, static_cast<int64_t>(output.size()) / n};
  LossView view{.predicts_v = predicts_v, .output = b.input("output", f32(shape)), .target = b.input("target", f32(shape))};
  view.timestep = b.input("timestep", f32({n}));
  view.alpha_bar = b.input("alpha_bar", f32({n}));
  if (loss.pairs().wanted) view.pairs.push_back({{"mid_block", "mid_block"}, view.target, view.output});
  const std::vector<LossTerm> terms = loss.emit(b, view);
  EXPECT_EQ(terms.size(), 1u);
  b.output("term", terms.at(0).value);
  return ops::interpret(
      graph, [&](const Node& node) { return node.label == "output"   ? output
                                            : node.label == "target" ? target
                                                                     : alpha_bar; },
      false)[0][0];
}

TEST(Losses, min_snr_weighs_samples_as_its_formula_says) {
  const std::vector<double> output{1, 2, 3, 4}, target{0, 0, 1, 1}, alpha_bar{0.9, 0.2};
  const double first = (1 + 4) / 2.0, second = (4 + 9) / 2.0, high = 0.9 / 0.1, low = 0.2 / 0.8;
  const auto plain = our_loss("task"), snr = our_loss("task", {"weighting=min-snr"});
  EXPECT_NEAR(term_of(*plain, false, output, target, alpha_bar), (first + second) / 2, 1e-12);
  EXPECT_NEAR(term_of(*snr, false, output, target, alpha_bar), (first * 5 / high + second) / 2, 1e-12);
  EXPECT_NEAR(term_of(*snr, true, output, target, alpha_bar), (first * 5 / (high + 1) + second * low / (low + 1)) / 2, 1e-12);
  EXPECT_NEAR(term_of(*snr, false, output, target, {0.9, 0.0}), (first * 5 / high + second) / 2, 1e-12) << "no signal at all";
}

TEST(Losses, two_sigma_counts_far_values_as_zero_each_side_by_its_own) {
  // Mean 1, deviation 3: the ten is 3 deviations away. Mean 3, deviation 4: the minus fives are at exactly 2, and stay.
  const std::vector<double> output{10, 0, 0, 0, 0, 0, 0, 0, 0, 0}, target{-5, 5, 5, 5, 5, -5, 5, 5, 5, 5};
  const auto masked = our_loss("feature-kd", {"mask=two-sigma"}), plain = our_loss("feature-kd");
  EXPECT_NEAR(term_of(*plain, false, output, target, {0.5}), (15.0 * 15 + 9 * 25) / 10, 1e-12);
  EXPECT_NEAR(term_of(*masked, false, output, target, {0.5}), 25.0, 1e-12);
  EXPECT_NEAR(term_of(*masked, false, {3, 3}, {1, 1}, {0.5}), 4.0, 1e-12) << "a constant has no deviation and stays whole";
}

TEST(Losses, teacher_norm_divides_by_the_teachers_mean_square) {
  const auto normed = our_loss("feature-kd", {"normalise=teacher-norm"});
  EXPECT_NEAR(term_of(*normed, false, {1, 2}, {3, 5}, {0.5}), ((4.0 + 9) / 2) / ((9.0 + 25) / 2), 1e-9);
}

TEST(JointGraph, mixes_the_batch_and_targets_noise_or_velocity) {
  const model::Model student = model::load_model(kTeacher);
  for (const bool predicts_v : {false, true}) {
    JointOptions options = kSmall;
    options.predicts_v = predicts_v;
    Fake loss([](Builder& b, const LossView& view) {
      b.output("target", view.target);
      return std::vector<LossTerm>{{"", b.scalar(1)}};
    });
    const JointGraph joint = build_joint_graph(nullptr, student.tree, {{.loss = &loss}}, options);
    const auto source = same_weights(joint.graph, student.weights);
    const auto input = [&](const char* name) { return source(joint.graph.def(joint.graph.find_input(name))); };
    const std::vector<double> latents = input("latents"), noise = input("noise"), share = input("alpha_bar");
    Graph target = joint.graph;
    target.set_outputs({joint.graph.outputs().front()});
    ASSERT_EQ(target.outputs()[0].name, "target");
    const std::vector<double> got = ops::interpret(target, source, false)[0];
    for (size_t i = 0; i < got.size(); ++i) {
      const double a = share[i / (got.size() / share.size())];
      EXPECT_NEAR(got[i], predicts_v ? std::sqrt(a) * noise[i] - std::sqrt(1 - a) * latents[i] : noise[i], 1e-12);
    }
  }
}

TEST(JointGraph, refuses_a_model_whose_output_is_not_like_its_latents) {
  const model::Model nine = model::load_model(std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/nine-channels/unet");
  const auto loss = our_loss("task");
  EXPECT_THAT([&] { build_joint_graph(nullptr, nine.tree, {{.loss = loss.get()}}, kSmall); },
              ThrowsMessage<UserError>(HasSubstr("the student predicts [2,8,8,4], the target is [2,8,8,9]")));
}

TEST(JointGraph, refuses_losses_that_are_no_sum_of_named_scalars) {
  const model::Model teacher = model::load_model(kTeacher);
  const auto built = [&](const auto& emit, const std::string& other = "") {
    Fake loss(emit), second(emit);
    std::vector<LossUse> uses{{.loss = &loss}};
    if (!other.empty()) uses.push_back({.loss = &second, .name = other});
    build_joint_graph(nullptr, teacher.tree, uses, kSmall);
  };
  const auto scalar = [](Builder& b, const LossView&) { return std::vector<LossTerm>{{"", b.scalar(1)}}; };
  EXPECT_NO_THROW(built(scalar));
  EXPECT_NO_THROW(built(scalar, "another"));
  EXPECT_THAT([&] { built(scalar, "fake"); }, ThrowsMessage<UserError>(HasSubstr("'fake' is already a term")));
  EXPECT_THAT([&] { built([](Builder&, const LossView& v) {
                      return std::vector<LossTerm>{{"", v.output}};
                    }); },
              ThrowsMessage<UserError>(HasSubstr("[loss fake] term '' is f32[2,8,8,4], needs to be an f32 scalar")));
  EXPECT_THAT([&] { built([](Builder&, const LossView&) { return std::vector<LossTerm>{}; }); },
              ThrowsMessage<UserError>(HasSubstr("it emits no term")));
  EXPECT_THAT(
      [&] { built([](Builder& b, const LossView&) {
              return std::vector<LossTerm>{{"a", b.scalar(1)}, {"a", b.scalar(2)}};
            }); },
      ThrowsMessage<UserError>(HasSubstr("'fake/a' is already a term of this loss: each needs its own label")));
  EXPECT_THAT([&] { built(scalar, "grad_norm"); },
              ThrowsMessage<UserError>(HasSubstr("this key of the metrics belongs to the trainer")));
  EXPECT_THAT([&] { build_joint_graph(nullptr, teacher.tree, {}, kSmall); }, ThrowsMessage<UserError>(HasSubstr("no loss")));
}

TEST(JointGraph, without_a_teacher_a_loss_that_needs_one_says_so) {
  const model::Model student = model::load_model(kTeacher);
  const auto loss = our_loss("output-kd");
  EXPECT_THAT([&] { build_joint_graph(nullptr, student.tree, {{.loss = loss.get()}}, kSmall); },
              ThrowsMessage<UserError>(HasSubstr("[espalier.loss.output-kd] this loss compares with a teacher")));
}

TEST(NoiseSchedule, equals_diffusers) {
  // DDIMScheduler(beta_schedule=…).alphas_cumprod of diffusers 0.42.1 at 0, 500 and 999.
  const auto at = [](const NoiseSchedule& s) {
    const std::vector<float> a = alpha_bars(s);
    return std::vector<float>{a[0], a[500], a[999]};
  };
  const auto expect = [](const std::vector<float>& got, const std::vector<float>& want) {
    // diffusers multiplies in f32.
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4 * want[i]);
  };
  expect(at({}), {0.99914998f, 0.27633247f, 0.0046600951f});
  expect(at({.name = "linear", .beta_start = 1e-4, .beta_end = 0.02}), {0.99989998f, 0.077796653f, 4.0358304e-05f});
  expect(at({.name = "squaredcos_cap_v2"}), {0.99995869f, 0.49228504f, 2.4287349e-09f});
  EXPECT_THAT([] { alpha_bars({.name = "scaled-linear"}); },
              ThrowsMessage<UserError>(HasSubstr("did you mean 'scaled_linear'?")));
}

}  // namespace
}  // namespace espalier::distill
