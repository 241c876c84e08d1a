// Optimizers: what they keep for a tensor, at SDXL's sizes, and the codes of 8-bit moments.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/ops/adamw8bit.h"
#include "core/train/student.h"

namespace espalier {
namespace {

using train::OptimizerSpec;

TEST(DynamicMap, has_256_ascending_values_of_which_0_and_1_are_two) {
  for (const bool with_sign : {true, false}) {
    const std::vector<float>& map = ops::dynamic_map(with_sign);
    ASSERT_EQ(map.size(), 256u);
    EXPECT_TRUE(std::is_sorted(map.begin(), map.end()));
    EXPECT_EQ(std::adjacent_find(map.begin(), map.end()), map.end()) << "no value twice";
    EXPECT_EQ(map.back(), 1);
    EXPECT_TRUE(std::binary_search(map.begin(), map.end(), 0.0f));
    EXPECT_EQ(map.front(), with_sign ? -0.99296875f : 0);
  }
}

TEST(DynamicMap, is_fine_where_values_are_small) {
  // The relative gap between neighbours stays below 1/3 over three decades, where even steps of 1/128 would lose all.
  const std::vector<float>& map = ops::dynamic_map(false);
  for (size_t i = 1; i + 1 < map.size(); ++i)
    if (map[i] > 1e-3) {
      EXPECT_LT((map[i + 1] - map[i]) / map[i], 0.34) << map[i];
    }
}

TEST(OptimizerState, takes_the_bytes_that_its_name_promises_at_SDXLs_sizes) {
  const model::BlockTree tree = model::build_tree(model::read_config(ESPALIER_SOURCE_DIR "/tests/configs/sdxl-base-unet.json"));
  double parameters = 0;
  for (const model::TensorSpec& spec : model::tensor_specs(tree)) parameters += static_cast<double>(spec.shape.elements());
  const auto state = [&](const char* use) {
    OptimizerSpec spec;
    spec.use = use;
    // Without weights and gradients, four bytes each.
    return static_cast<double>(train::training_bytes(tree, spec, false)) / parameters - 8;
  };
  std::printf("state, bytes a parameter: adamw %.3f, adamw8bit %.3f, adafactor %.4f\n", state("adamw"), state("adamw8bit"),
              state("adafactor"));
  EXPECT_DOUBLE_EQ(state("adamw"), 8);
  EXPECT_LT(state("adamw8bit"), 2.04);
  EXPECT_LT(state("adafactor"), 0.01);
}

}  // namespace
}  // namespace espalier
