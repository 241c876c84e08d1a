// A whole training step of the recorded teacher and student, with and without units that are computed again.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "core/base/rng.h"
#include "core/exec/executor.h"
#include "core/io/memory_source.h"
#include "core/model/model.h"
#include "core/train/joint.h"
#include "tests/support/losses.h"
#include "tests/support/one_op.h"

namespace espalier::train {
namespace {

const std::string kCase = std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/distill-sdxl-to-ssd-1b";

class Step {
 public:
  Step() {
    for (const char* name : {"task", "output-kd", "feature-kd"}) losses_.push_back(testing::our_loss(name));
    // An odd size, so that the resizes are not by whole factors.
    distill::JointOptions options{.batch = 2, .height = 10, .width = 6, .tokens = 5};
    options.weights_are_inputs = true;
    joint_ = distill::build_joint_graph(&teacher_.tree, student_.tree, testing::uses_of(losses_, teacher_.tree, student_.tree),
                                        options);
  }

  lower::CallList calls(const std::shared_ptr<lower::Backend>& backend, const TrainingOptions& options) const {
    return training_calls(joint_, options, backend);
  }

  exec::FloatTensors run(const lower::CallList& list, const std::shared_ptr<lower::Backend>& backend) const {
    exec::FloatTensors inputs;
    for (Value v : list.inputs) {
      const std::string& label = list.graph->def(v).label;
      inputs[label] = {list.graph->type(v).shape, values(label, list.graph->type(v).shape)};
    }
    std::vector<std::pair<std::string, std::string>> renames;
    for (const std::string& name : teacher_.weights->names()) renames.emplace_back(distill::kTeacherPrefix + name, name);
    exec::Executor executor(list, backend, std::make_shared<io::RenamedTensorSource>(teacher_.weights, std::move(renames)));
    return exec::run_named(executor, inputs);
  }

 private:
  std::vector<float> values(const std::string& label, const Shape& shape) const {
    const auto names = student_.weights->names();
    if (std::find(names.begin(), names.end(), label) != names.end()) return io::read_f32(student_.weights->get(label));
    std::vector<float> data(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < data.size(); ++i) {
      const double uniform = rng::uniform(9, rng::stream_of(label), i);
      data[i] = static_cast<float>(label == "timestep" || label == "time_ids"        ? std::floor(1000 * uniform)
                                   : label == "alpha_bar" || label == "loss_weights" ? uniform
                                                                                     : rng::normal(9, rng::stream_of(label), i));
    }
    return data;
  }

  model::Model teacher_ = model::load_model(kCase + "/teacher/unet"), student_ = model::load_model(kCase + "/student/unet");
  std::vector<std::unique_ptr<distill::LossStrategy>> losses_;
  distill::JointGraph joint_;
};

bool equal_bits(const exec::FloatTensors& a, const exec::FloatTensors& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           const auto other = b.find(entry.first);
           const std::vector<float>& values = entry.second.values;
           return other != b.end() && other->second.values.size() == values.size() &&
                  std::memcmp(other->second.values.data(), values.data(), values.size() * sizeof(float)) == 0;
         });
}

size_t repeated(const lower::CallList& list) {
  const auto& nodes = list.graph->nodes();
  return static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), [](const Node& node) { return node.recompute; }));
}

class RecomputeModel : public ::testing::TestWithParam<std::string> {
 protected:
  static std::shared_ptr<lower::Backend> backend() {
    return GetParam() == "reference" ? nullptr : testing::open_backend(GetParam(), {});
  }
};

TEST_P(RecomputeModel, lowers_the_peak_of_a_training_step_and_keeps_every_bit) {
  const Step step;
  const auto backend = this->backend();
  const lower::CallList plain = step.calls(backend, {}), least = step.calls(backend, {.recompute_above_bytes = 0});
  EXPECT_EQ(repeated(plain), 0u);
  EXPECT_GT(repeated(least), 0u);
  std::printf("%s: peak %.0f KiB, arena %.0f KiB, %zu calls; recomputed: %.0f KiB, %.0f KiB, %zu calls\n", GetParam().c_str(),
              static_cast<double>(plain.peak_live_bytes()) / 1024, static_cast<double>(plain.arena_bytes) / 1024,
              plain.calls.size(), static_cast<double>(least.peak_live_bytes()) / 1024,
              static_cast<double>(least.arena_bytes) / 1024, least.calls.size());
  EXPECT_LT(static_cast<double>(least.peak_live_bytes()), 0.7 * static_cast<double>(plain.peak_live_bytes()));
  EXPECT_LT(static_cast<double>(least.arena_bytes), 0.7 * static_cast<double>(plain.arena_bytes));
  EXPECT_TRUE(equal_bits(step.run(plain, backend), step.run(least, backend)));
}

TEST_P(RecomputeModel, stays_within_a_target_with_the_backends_scratch_and_computes_no_more_again_than_that_takes) {
  const Step step;
  const auto backend = this->backend();
  const uint64_t all = step.calls(backend, {}).peak_live_bytes();
  const lower::CallList least = step.calls(backend, {.recompute_above_bytes = 0});
  const uint64_t target = (all + least.peak_live_bytes()) / 2;
  for (const bool accumulate : {false, true}) {
    const lower::CallList list = step.calls(backend, {.accumulate = accumulate, .recompute_above_bytes = target});
    EXPECT_LE(list.peak_live_bytes(), target);
    EXPECT_LT(repeated(list), repeated(least));
    EXPECT_TRUE(equal_bits(step.run(list, backend), step.run(step.calls(backend, {.accumulate = accumulate}), backend)));
  }
  EXPECT_EQ(repeated(step.calls(backend, {.recompute_above_bytes = all})), 0u);
}

TEST_P(RecomputeModel, has_every_call_after_the_losses_marked_as_backward_or_recomputed) {
  const lower::CallList list = Step().calls(backend(), {.recompute_above_bytes = 0});
  bool late = false;
  for (const lower::Call& call : list.calls) {
    const Node& node = list.graph->node(call.node);
    late = late || node.grad_of.present();
    EXPECT_EQ(late, node.grad_of.present() || node.recompute) << *node.op->name << " in " << node.path;
  }
}

TEST_P(RecomputeModel, has_no_gradient_wait_in_the_arena_to_be_accumulated) {
  const Step step;
  const auto backend = this->backend();
  const uint64_t once = step.calls(backend, {}).peak_live_bytes(),
                 summed = step.calls(backend, {.accumulate = true}).peak_live_bytes();
  EXPECT_LT(static_cast<double>(summed), 1.2 * static_cast<double>(once)) << once;
}

INSTANTIATE_TEST_SUITE_P(Backends, RecomputeModel, ::testing::Values("reference", "cpu"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace espalier::train
