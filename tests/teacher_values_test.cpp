// The joint graph in two parts, and the folder where runs keep what the teacher made.

#include "core/train/teacher_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <thread>

#include "core/base/half.h"
#include "core/base/rng.h"
#include "core/ir/verify.h"
#include "core/model/model.h"
#include "core/ops/interpret.h"
#include "tests/support/losses.h"
#include "tests/support/tiny_cache.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;
using distill::TeacherValue;
using espalier::testing::our_loss;
using espalier::testing::uses_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kCase = std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/distill-sdxl-to-ssd-1b/";
const distill::JointOptions kSmall{.batch = 2, .height = 8, .width = 8, .tokens = 3, .weights_are_inputs = true};

std::vector<std::unique_ptr<distill::LossStrategy>> losses_named(const std::vector<std::string>& names) {
  std::vector<std::unique_ptr<distill::LossStrategy>> losses;
  for (const std::string& name : names) losses.push_back(our_loss(name));
  return losses;
}

distill::JointGraph joint_of(const model::Model* teacher, const model::Model& student, const std::vector<std::string>& names) {
  const auto losses = losses_named(names);
  const model::BlockTree* tree = teacher != nullptr ? &teacher->tree : nullptr;
  return distill::build_joint_graph(tree, student.tree, uses_of(losses, tree != nullptr ? *tree : student.tree, student.tree),
                                    kSmall);
}

TEST(TeacherCut, leaves_nothing_of_the_teacher_and_names_each_value_once) {
  const model::Model teacher = model::load_model(kCase + "teacher/unet"), student = model::load_model(kCase + "student/unet");
  const distill::JointGraph joint = joint_of(&teacher, student, {"task", "output-kd", "feature-kd"});
  const distill::TeacherCut cut = distill::cut_teacher(joint);
  verify(cut.teacher);
  verify(cut.student.graph);
  EXPECT_TRUE(cut.student.graph.params().empty());
  for (const Node& node : cut.student.graph.nodes()) EXPECT_FALSE(node.frozen) << node.path;
  EXPECT_EQ(cut.teacher.params().size(), joint.graph.params().size());
  std::set<std::string> names;
  for (const TeacherValue& value : cut.values) {
    EXPECT_TRUE(value.name == "teacher" || value.name.starts_with("teacher.")) << value.name;
    EXPECT_TRUE(names.insert(value.name).second) << value.name << " is there twice";
    EXPECT_EQ(cut.student.graph.type(cut.student.graph.find_input(value.name)), value.type);
  }
  EXPECT_EQ(names.size(), cut.teacher.outputs().size());
  EXPECT_EQ(names.count("teacher"), 1u) << "its output";
  EXPECT_EQ(names.count("teacher.down_blocks.0.resnets.0"), 1u);
  EXPECT_GT(names.size(), 20u) << "26 features, some of which are one value";
  const std::set<std::string> of_batch{"latents",     "noise",   "timestep", "alpha_bar", "encoder_hidden_states",
                                       "text_embeds", "time_ids"};
  for (Value v : cut.teacher.inputs()) EXPECT_EQ(of_batch.count(cut.teacher.def(v).label), 1u) << cut.teacher.def(v).label;
  ASSERT_EQ(cut.student.trained.size(), joint.trained.size());
  for (size_t i = 0; i < joint.trained.size(); ++i)
    EXPECT_EQ(cut.student.graph.def(cut.student.trained[i]).label, joint.graph.def(joint.trained[i]).label);
}

TEST(TeacherCut, both_parts_compute_what_the_whole_computes) {
  const model::Model teacher = model::load_model(kCase + "teacher/unet"), student = model::load_model(kCase + "student/unet");
  const distill::JointGraph joint = joint_of(&teacher, student, {"output-kd", "feature-kd"});
  const distill::TeacherCut cut = distill::cut_teacher(joint);
  std::map<std::string, std::vector<double>> made;
  const auto numbers_of = [&](const Graph& graph) {
    return [&](const Node& node) {
      if (const auto at = made.find(node.label); at != made.end()) return at->second;
      std::vector<double> values(static_cast<size_t>(graph.type(node.results[0]).shape.elements()));
      for (size_t i = 0; i < values.size(); ++i) values[i] = 0.05 * rng::normal(3, rng::stream_of(node.label), i);
      if (node.label == "alpha_bar") values = {0.3, 0.8};
      if (node.label == "loss_weights") values.assign(values.size(), 1.0);
      return values;
    };
  };
  const auto whole = ops::interpret(joint.graph, numbers_of(joint.graph), true);
  const auto of_teacher = ops::interpret(cut.teacher, numbers_of(cut.teacher), true);
  for (size_t i = 0; i < cut.values.size(); ++i) made[cut.values[i].name] = of_teacher[i];
  EXPECT_EQ(ops::interpret(cut.student.graph, numbers_of(cut.student.graph), true), whole);
}

TEST(TeacherCut, of_a_step_that_reads_no_teacher_is_the_step) {
  const model::Model teacher = model::load_model(kCase + "teacher/unet"), student = model::load_model(kCase + "student/unet");
  for (const model::Model* given : {&teacher, static_cast<const model::Model*>(nullptr)}) {
    const distill::TeacherCut cut = distill::cut_teacher(joint_of(given, student, {"task"}));
    EXPECT_TRUE(cut.values.empty());
    EXPECT_TRUE(cut.teacher.nodes().empty());
    EXPECT_FALSE(cut.student.graph.nodes().empty());
  }
}

const std::vector<TeacherValue> kValues{{"teacher.mid_block", f32({2, 3})}, {"teacher.conv_out", f32({5})}};

/// Values of batch `index`, none of which f16 holds exactly.
TeacherBuffers buffers_of(int64_t index) {
  TeacherBuffers buffers{std::vector<float>(6), std::vector<float>(5)};
  for (std::vector<float>& buffer : buffers)
    for (size_t i = 0; i < buffer.size(); ++i) buffer[i] = 1.0f / static_cast<float>(3 + 7 * index + static_cast<int64_t>(i));
  return buffers;
}

class TeacherFolderTest : public espalier::testing::FolderTest {
 protected:
  TeacherFolder open(DType dtype = DType::kF32, uint64_t limit = 1 << 20) {
    return TeacherFolder({folder_, dtype, limit}, [this](const std::string& line) { said_.push_back(line); });
  }
  /// What is read of a batch; empty where nothing is.
  static TeacherBuffers read(TeacherFolder& folder, int64_t index, const std::string& key = "k", bool held_out = false) {
    TeacherBuffers to = buffers_of(-5);
    return folder.read(key, {held_out, index}, kValues, to) ? to : TeacherBuffers{};
  }
  fs::path file(int64_t index) const { return folder_ / "k" / ("step-0000000" + std::to_string(index) + ".safetensors"); }
  std::vector<std::string> said_;
};

TEST_F(TeacherFolderTest, gives_back_the_bits_of_the_batch_that_is_asked_for) {
  TeacherFolder folder = open();
  for (int64_t i = 0; i < 3; ++i) folder.write("k", {false, i}, kValues, buffers_of(i));
  folder.write("k", {true, 0}, kValues, buffers_of(9));
  TeacherFolder other = open();
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(read(other, i), buffers_of(i));
  EXPECT_EQ(read(other, 0, "k", true), buffers_of(9));
  EXPECT_TRUE(read(other, 3).empty());
  EXPECT_TRUE(read(other, 0, "other").empty());
  EXPECT_EQ(other.tally(), "the teacher's values of 4 batches were read, of 0 computed (0 kept)");
  EXPECT_EQ(other.tally(), "");
  EXPECT_TRUE(said_.empty());
}

TEST_F(TeacherFolderTest, as_f16_takes_half_and_gives_back_rounded_values) {
  TeacherBuffers rounded = buffers_of(1);
  for (std::vector<float>& buffer : rounded)
    for (float& value : buffer) value = f16_to_f32(f32_to_f16(value));
  ASSERT_NE(rounded, buffers_of(1));
  TeacherFolder folder = open(DType::kF16);
  folder.write("k", {false, 1}, kValues, rounded);
  EXPECT_EQ(read(folder, 1), rounded);
  EXPECT_EQ(bytes_of(kValues, DType::kF16) * 2, bytes_of(kValues, DType::kF32));
}

TEST_F(TeacherFolderTest, is_never_larger_than_its_limit_and_says_once_that_it_is_full) {
  TeacherFolder first = open();
  first.write("k", {false, 0}, kValues, buffers_of(0));
  const uint64_t one = bytes_kept(folder_);
  ASSERT_GT(one, bytes_of(kValues, DType::kF32));
  TeacherFolder folder = open(DType::kF32, 3 * one + one / 2);
  for (int64_t i = 0; i < 9; ++i) folder.write("k", {false, i}, kValues, buffers_of(i));
  EXPECT_EQ(bytes_kept(folder_), 3 * one);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_THAT(said_[0], HasSubstr("full"));
  EXPECT_EQ(read(folder, 2), buffers_of(2));
  EXPECT_TRUE(read(folder, 3).empty());
}

TEST_F(TeacherFolderTest, counts_anew_what_a_killed_run_left_uncounted) {
  TeacherFolder first = open();
  for (int64_t i = 0; i < 3; ++i) first.write("k", {false, i}, kValues, buffers_of(i));
  const uint64_t one = bytes_kept(folder_) / 3;
  for (const char* half : {"", "12", "x\n"}) {
    std::ofstream(folder_ / "used", std::ios::trunc) << half;
    TeacherFolder folder = open(DType::kF32, 3 * one);
    folder.write("k", {false, 7}, kValues, buffers_of(7));
    EXPECT_EQ(bytes_kept(folder_), 3 * one) << "'" << half << "'";
  }
}

TEST_F(TeacherFolderTest, a_damaged_file_is_made_anew_and_never_read) {
  TeacherFolder folder = open();
  folder.write("k", {false, 0}, kValues, buffers_of(0));
  folder.write("k", {false, 1}, kValues, buffers_of(1));
  std::string good;
  {
    std::ifstream in(file(0), std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::vector<std::string> damaged{"", "not a file of tensors", good.substr(0, good.size() - 1), good + "x"};
  for (size_t at = 0; at < good.size(); at += 5) damaged.push_back(good), damaged.back()[at] = static_cast<char>(good[at] ^ 1);
  for (const std::string& bytes : damaged) {
    std::ofstream(file(0), std::ios::binary | std::ios::trunc) << bytes;
    const TeacherBuffers found = read(folder, 0);
    EXPECT_TRUE(found.empty() || found == buffers_of(0)) << "a wrong value was read";
    if (!found.empty()) continue;  // a space of the header's padding became another
    EXPECT_FALSE(fs::exists(file(0)));
    EXPECT_THAT(said_.back(), HasSubstr("step-00000000.safetensors: damaged, and made anew"));
    folder.write("k", {false, 0}, kValues, buffers_of(0));
    EXPECT_EQ(read(folder, 0), buffers_of(0));
  }
  EXPECT_GT(said_.size(), damaged.size() - 3);
  fs::copy_file(file(1), file(0), fs::copy_options::overwrite_existing);
  EXPECT_TRUE(read(folder, 0).empty()) << "the values of another batch";
  fs::create_directories(folder_ / "other");
  fs::copy_file(file(1), folder_ / "other" / file(1).filename());
  EXPECT_TRUE(read(folder, 1, "other").empty()) << "the values of other inputs";
  TeacherFolder halves = open(DType::kF16);
  EXPECT_TRUE(read(halves, 1).empty()) << "values of another type";
}

TEST_F(TeacherFolderTest, many_that_write_the_same_batches_at_once_leave_each_whole_and_counted) {
  constexpr int64_t kBatches = 40;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([this, t, &wrong] {
      TeacherFolder folder({folder_, DType::kF32, 1 << 20}, [](const std::string&) {});
      for (int64_t i = 0; i < kBatches; ++i) {
        if (const TeacherBuffers found = read(folder, i); !found.empty() && found != buffers_of(i)) ++wrong[t];
        folder.write("k", {false, i}, kValues, buffers_of(i));
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
  TeacherFolder folder = open();
  for (int64_t i = 0; i < kBatches; ++i) EXPECT_EQ(read(folder, i), buffers_of(i));
  int64_t files = 0;
  for ([[maybe_unused]] const fs::directory_entry& entry : fs::directory_iterator(folder_ / "k")) ++files;
  EXPECT_EQ(files, kBatches) << "and nothing half-written beside them";
  std::ifstream used(folder_ / "used");
  uint64_t counted = 0;
  used >> counted;
  EXPECT_EQ(counted, bytes_kept(folder_));
}

TEST_F(TeacherFolderTest, where_nothing_can_be_written_the_run_goes_on_and_says_so) {
  std::ofstream(folder_ / "a file") << "";
  std::vector<std::string> said;
  TeacherFolder folder({folder_ / "a file", DType::kF32, 1 << 20}, [&](const std::string& line) { said.push_back(line); });
  for (int64_t i = 0; i < 3; ++i) folder.write("k", {false, i}, kValues, buffers_of(i));
  ASSERT_EQ(said.size(), 1u);
  EXPECT_THAT(said[0], HasSubstr("the teacher's values are not kept from here on: "));
}

}  // namespace
}  // namespace espalier::train
