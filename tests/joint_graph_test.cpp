// Teacher, student and losses as one graph.

#include "core/distill/joint_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/autodiff/gradient.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/distill/noise_schedule.h"
#include "core/io/memory_source.h"
#include "core/ir/verify.h"
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
    EXPECT_EQ(node.frozen, node.path.starts_with("teacher.") || node.label.starts_with("teacher.")) << node.path;
    EXPECT_FALSE(node.frozen && node.grad_of.present());
  }
}

TEST(JointGraph, options_of_the_losses_do_what_they_say) {
  const model::Model teacher = model::load_model(kTeacher);
  const model::Model student =
      model::load_model(std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/distill-sdxl-to-ssd-1b/student/unet");
  const auto terms = [&](const std::vector<std::string>& task, const std::vector<std::string>& feature) {
    std::vector<std::unique_ptr<LossStrategy>> losses;
    losses.push_back(our_loss("task", task));
    losses.push_back(our_loss("feature-kd", feature));
    const JointGraph joint = build_joint_graph(&teacher.tree, student.tree, uses_of(losses, teacher.tree, student.tree), kSmall);
    return ops::interpret(joint.graph, same_weights(joint.graph, teacher.weights), false)[1];
  };
  const std::vector<double> plain = terms({}, {}), snr = terms({"weighting=min-snr", "gamma=1e-3"}, {}),
                            high = terms({"weighting=min-snr", "gamma=1000000"}, {}), masked = terms({}, {"mask=two-sigma"}),
                            normed = terms({}, {"normalise=teacher-norm"});
  EXPECT_NEAR(high[0], plain[0], 1e-12 * plain[0]) << "no ratio is above gamma: every sample counts whole";
  EXPECT_LT(snr[0], 0.01 * plain[0]);
  for (size_t k = 1; k < plain.size(); ++k) {
    EXPECT_EQ(snr[k], plain[k]) << "min-SNR is the task's alone";
    EXPECT_GE(plain[k], 0);
    EXPECT_TRUE(plain[k] == 0 || masked[k] != plain[k]);
    EXPECT_TRUE(plain[k] == 0 || normed[k] != plain[k]);
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
