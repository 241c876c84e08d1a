// Pairs of features: counts and places as the methods of the field have them, origins where blocks were renumbered.

#include "core/distill/feature_pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/prune/removal_plan.h"

namespace espalier::distill {
namespace {

using model::BlockTree;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

BlockTree tree_of(const std::string& name) {
  return model::build_tree(model::read_config(std::string(ESPALIER_SOURCE_DIR) + "/tests/configs/" + name + "-unet.json"));
}

/// Pairs with the origins that removing `paths` leaves.
std::vector<FeaturePair> after_removing(const BlockTree& teacher, const std::vector<std::string>& paths,
                                        const std::string& granularity, std::vector<std::string>* left_out = nullptr) {
  prune::RemovalPlan plan{.teacher = model::structure_hash(teacher.config)};
  for (const std::string& path : paths) plan.removals.push_back({.path = path});
  const BlockTree student = prune::apply_plan(teacher, plan);
  const prune::OriginMap origins = prune::origin_map(teacher, student);
  // The student as a later run sees it: from its config, with its origin.json.
  const BlockTree reloaded = model::build_tree(model::config_of(student));
  return feature_pairs(teacher, reloaded, &origins, {.wanted = true, .granularity = granularity}, left_out);
}

bool has(const std::vector<FeaturePair>& pairs, const std::string& teacher, const std::string& student) {
  return std::find(pairs.begin(), pairs.end(), FeaturePair{teacher, student}) != pairs.end();
}

TEST(FeaturePairs, sub_block_of_sdxl_gives_26_to_ssd_1b_and_to_vega) {
  const BlockTree teacher = tree_of("sdxl-base");
  for (const char* name : {"ssd-1b", "vega"}) {
    const auto pairs = feature_pairs(teacher, tree_of(name), nullptr, {.wanted = true, .granularity = "sub-block"});
    EXPECT_EQ(pairs.size(), 26u) << name;
    EXPECT_TRUE(has(pairs, "mid_block", "mid_block.resnets.0"));
    for (const FeaturePair& pair : pairs) {
      const bool mid = pair.student == "mid_block.resnets.0";
      EXPECT_EQ(pair.teacher, mid ? "mid_block" : pair.student);
    }
  }
}

TEST(FeaturePairs, a_whole_mid_block_is_one_pair_under_its_own_name) {
  const BlockTree teacher = tree_of("sdxl-base");
  const auto pairs = feature_pairs(teacher, teacher, nullptr, {.wanted = true, .granularity = "sub-block"});
  EXPECT_EQ(pairs.size(), 26u);
  EXPECT_TRUE(has(pairs, "mid_block", "mid_block"));
  EXPECT_EQ(feature_pairs(teacher, teacher, nullptr, {.wanted = true, .granularity = "block"}).size(), 7u);
}

TEST(FeaturePairs, a_model_without_a_mid_block_has_none_for_it) {
  const BlockTree teacher = tree_of("sdxl-base"), student = tree_of("koala-700m");
  for (const FeaturePair& pair : feature_pairs(teacher, student, nullptr, {.wanted = true, .granularity = "block"}))
    EXPECT_FALSE(pair.teacher.starts_with("mid_block"));
}

TEST(FeaturePairs, blocks_pair_with_their_origins_and_not_with_their_numbers) {
  const BlockTree teacher = tree_of("sdxl-base");
  const std::string module = "down_blocks.2.attentions.0";
  std::vector<std::string> gone;
  for (int i : {0, 3, 4, 5, 7, 8, 9}) gone.push_back(module + ".transformer_blocks." + std::to_string(i));
  // A config gives the mid block the depth of that module.
  for (int i = 3; i < 10; ++i) gone.push_back("mid_block.attentions.0.transformer_blocks." + std::to_string(i));
  const auto layer = after_removing(teacher, gone, "layer");
  EXPECT_TRUE(has(layer, module + ".transformer_blocks.1", module + ".transformer_blocks.0"));
  EXPECT_TRUE(has(layer, module + ".transformer_blocks.2", module + ".transformer_blocks.1"));
  EXPECT_TRUE(has(layer, module + ".transformer_blocks.6", module + ".transformer_blocks.2"));
  EXPECT_TRUE(has(layer, "up_blocks.2.resnets.1", "up_blocks.2.resnets.1"));
  EXPECT_EQ(layer.size(), 15u + 60 - 7 + 1) << "resnets and blocks outside the mid block, and one pair for that";
  const auto attention = after_removing(teacher, gone, "self-attention");
  EXPECT_TRUE(has(attention, module + ".transformer_blocks.6.attn1", module + ".transformer_blocks.2.attn1"));
  EXPECT_EQ(after_removing(teacher, gone, "sub-block").size(), 26u);
  EXPECT_TRUE(has(after_removing(teacher, gone, "sub-block"), module, module));
}

TEST(FeaturePairs, removed_pairs_of_an_up_stage_shift_the_numbers_and_the_origin_map_knows) {
  // BK-SDM-Base: the middle pair of each up stage goes, the third becomes the second.
  const BlockTree teacher = tree_of("sd15");
  std::vector<std::string> gone;
  for (const char* stage : {"0", "1", "2"})
    for (const char* part : {"resnets", "attentions"}) gone.push_back(std::string("down_blocks.") + stage + "." + part + ".1");
  gone.push_back("down_blocks.3.resnets.1");
  gone.push_back("up_blocks.0.resnets.1");
  for (const char* stage : {"1", "2", "3"})
    for (const char* part : {"resnets", "attentions"}) gone.push_back(std::string("up_blocks.") + stage + "." + part + ".1");
  const auto pairs = after_removing(teacher, gone, "sub-block");
  EXPECT_TRUE(has(pairs, "up_blocks.1.resnets.2", "up_blocks.1.resnets.1"));
  EXPECT_TRUE(has(pairs, "up_blocks.3.attentions.2", "up_blocks.3.attentions.1"));
  const auto stages = after_removing(teacher, gone, "block");
  EXPECT_EQ(stages.size(), 9u) << "4 down, mid, 4 up, as in distill-sd";
}

TEST(FeaturePairs, stages_of_unequal_size_do_not_pair_and_are_named) {
  // BK-SDM-Tiny: without the innermost stage, the new last down stage has no downsampler, and the up stages shift by one.
  const BlockTree teacher = tree_of("sd15"), student = tree_of("bk-sdm-tiny");
  prune::OriginMap origins;
  for (const model::TensorSpec& spec : model::tensor_specs(student)) {
    std::string from = spec.name;
    if (from.starts_with("up_blocks.")) from[10] = static_cast<char>(from[10] + 1);
    origins.tensors[spec.name] = from;
  }
  std::vector<std::string> left_out;
  const auto pairs = feature_pairs(teacher, student, &origins, {.wanted = true, .granularity = "block"}, &left_out);
  EXPECT_TRUE(has(pairs, "down_blocks.0", "down_blocks.0"));
  EXPECT_TRUE(has(pairs, "up_blocks.1", "up_blocks.0"));
  EXPECT_EQ(pairs.size(), 5u) << "two down stages and three up stages, as in BK-SDM but for its pair of two projections";
  EXPECT_EQ(left_out,
            (std::vector<std::string>{"down_blocks.2: only one of it and the teacher's down_blocks.2 ends in a sampler"}));
}

TEST(FeaturePairs, what_an_origin_map_does_not_know_is_named) {
  const BlockTree teacher = tree_of("sdxl-base");
  prune::OriginMap origins = prune::origin_map(teacher, teacher);
  origins.tensors.erase(origins.tensors.lower_bound("up_blocks.0.resnets.1."),
                        origins.tensors.lower_bound("up_blocks.0.resnets.1/"));
  std::vector<std::string> left_out;
  EXPECT_EQ(feature_pairs(teacher, teacher, &origins, {.wanted = true, .granularity = "sub-block"}, &left_out).size(), 25u);
  EXPECT_EQ(left_out, (std::vector<std::string>{"up_blocks.0.resnets.1: its origin is not known"}));
}

TEST(FeaturePairs, layer_without_an_origin_map_is_refused_with_the_way_out) {
  const BlockTree teacher = tree_of("sdxl-base");
  for (const char* granularity : {"layer", "self-attention"})
    EXPECT_THAT([&] { feature_pairs(teacher, tree_of("ssd-1b"), nullptr, {.wanted = true, .granularity = granularity}); },
                ThrowsMessage<UserError>(HasSubstr("give a student folder with origin.json")));
}

TEST(FeaturePairs, wrong_names_are_refused_all_at_once_with_the_nearest) {
  const BlockTree teacher = tree_of("sdxl-base"), student = tree_of("ssd-1b");
  EXPECT_THAT(
      [&] {
        feature_pairs(teacher, student, nullptr,
                      {.wanted = true, .listed = {{"mid_blok", "mid_block"}, {"mid_block", "down_blocks.0.resnets.7"}}});
      },
      ThrowsMessage<UserError>(::testing::AllOf(HasSubstr("the teacher has no feature 'mid_blok'; did you mean 'mid_block'?"),
                                                HasSubstr("the student has no feature 'down_blocks.0.resnets.7'"))));
  EXPECT_THAT([&] { feature_pairs(teacher, student, nullptr, {.wanted = true, .granularity = "blocks"}); },
              ThrowsMessage<UserError>(HasSubstr("did you mean 'block'?")));
}

}  // namespace
}  // namespace espalier::distill
