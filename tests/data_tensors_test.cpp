#include "core/data/tensors.h"

#include <gmock/gmock.h>

#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"
#include "tests/support/tiny_cache.h"

namespace espalier::data {
namespace {

namespace fs = std::filesystem;
using ::espalier::testing::counting;
using ::espalier::testing::user_error;
using ::testing::AllOf;
using ::testing::HasSubstr;

const fs::path kGolden = fs::path(ESPALIER_SOURCE_DIR) / "tests/golden/distill-sdxl-to-ssd-1b";

std::vector<fs::path> golden_steps() {
  std::vector<fs::path> files;
  for (int step = 0; step < 5; ++step) files.push_back(kGolden / ("step_" + std::to_string(step) + ".safetensors"));
  return files;
}

class TensorsTest : public ::espalier::testing::FolderTest {
 protected:
  // A batch of `n` latents 2x`width`x3 with values from `first`; `change` may add to or leave out of it.
  struct Recorded {
    int64_t n = 2, width = 2;
    float first = 0, timestep = 7;
    std::string leave_out, add;
    Shape noise = {};
  };
  fs::path record(const std::string& name, const Recorded& what) const {
    io::MemoryTensorSource batch;
    const auto add = [&](const std::string& tensor, const Shape& shape, float first) {
      if (tensor != what.leave_out) batch.add_f32(tensor, shape, counting(shape.elements(), first));
    };
    const Shape latents{what.n, 3, 2, what.width};
    add("latents", latents, what.first);
    add("noise", what.noise.rank() == 0 ? latents : what.noise, what.first);
    batch.add_f32("timestep", Shape{what.n}, std::vector<float>(static_cast<size_t>(what.n), what.timestep));
    add("encoder_hidden_states", {what.n, 2, 4}, what.first);
    if (!what.add.empty()) add(what.add, {what.n, 1}, 0);
    io::write_safetensors(folder_ / name, batch);
    return folder_ / name;
  }
};

TEST_F(TensorsTest, file_k_is_the_batch_of_step_k_and_wraps_around) {
  const auto source = open_tensors(golden_steps(), 2);
  ASSERT_EQ(source->buckets().size(), 1u);
  EXPECT_EQ(source->buckets()[0], (BatchShape{2, 16, 16, 4, 7, 24, 16}));
  EXPECT_EQ(source->validation_batches(), 0);
  for (int64_t step = 0; step < 12; ++step) {
    const auto file = io::open_safetensors(golden_steps()[static_cast<size_t>(step % 5)]);
    const Batch batch = source->batch(step);
    EXPECT_EQ(batch.tensors.at("timestep").values, io::read_f32(file->get("timestep")));
    EXPECT_EQ(batch.tensors.at("time_ids").values, io::read_f32(file->get("time_ids")));
  }
}

TEST_F(TensorsTest, pictures_turn_from_the_layout_of_files_to_that_of_graphs) {
  const auto source = open_tensors({record("a", {})}, 2);
  const exec::FloatTensor latents = source->batch(0).tensors.at("latents");
  EXPECT_EQ(latents.shape, (Shape{2, 2, 2, 3}));
  EXPECT_EQ(latents.values[1] * 64, 4) << "second channel of the first pixel: a plane of 2x2 further";
}

TEST_F(TensorsTest, each_size_is_a_bucket) {
  const auto source = open_tensors({record("a", {}), record("b", {2, 3}), record("c", {})}, 2);
  ASSERT_EQ(source->buckets().size(), 2u);
  EXPECT_EQ(source->batch(1).bucket, 1u);
  EXPECT_EQ(source->batch(2).bucket, 0u);
  EXPECT_EQ(source->batch(1).tensors.at("latents").shape, (Shape{2, 2, 3, 3}));
}

TEST_F(TensorsTest, a_batch_of_another_size_is_refused) {
  EXPECT_THAT(
      user_error([&] { open_tensors(golden_steps(), 4); }),
      AllOf(HasSubstr("step_0.safetensors: 'latents' is a batch of 2, and [train] batch_size is 4"), HasSubstr("step_4")));
}

TEST_F(TensorsTest, reports_the_faults_of_all_files_at_once) {
  Recorded no_noise, no_ids, other_noise;
  no_noise.leave_out = "noise";
  no_noise.add = "noises";
  no_ids.add = "text_embeds";
  other_noise.noise = Shape{2, 3, 2, 5};
  const std::vector<fs::path> files{record("good", {}), record("a", no_noise), record("b", no_ids), record("c", other_noise),
                                    folder_ / "none"};
  EXPECT_THAT(user_error([&] { open_tensors(files, 2); }),
              AllOf(HasSubstr("unknown tensor 'noises'; did you mean 'noise'?"), HasSubstr("has no tensor 'noise'"),
                    HasSubstr("has no tensor 'time_ids'"), HasSubstr("they must be equal"), HasSubstr("none")));
  EXPECT_THAT(user_error([&] { open_tensors({}, 2); }), HasSubstr("names no file"));
}

TEST_F(TensorsTest, files_of_other_widths_are_refused) {
  Recorded with_ids;
  const auto error = user_error([&] { open_tensors({golden_steps()[0], record("a", with_ids)}, 2); });
  EXPECT_THAT(error, HasSubstr("differ from those of"));
}

TEST_F(TensorsTest, a_timestep_between_two_is_refused_with_its_place) {
  Recorded between, beyond;
  between.timestep = 7.5f;
  beyond.timestep = 1000;
  const auto source = open_tensors({record("a", between), record("b", beyond)}, 2);
  EXPECT_THAT(user_error([&] { source->batch(0); }), HasSubstr("a: 'timestep' element 0 is 7.5"));
  EXPECT_THAT(user_error([&] { source->batch(1); }), HasSubstr("whole number from 0 to 999"));
}

}  // namespace
}  // namespace espalier::data
