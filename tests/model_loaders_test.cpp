// What ComfyUI, stable-diffusion.cpp and diffusers would do with a structure, and padding towards them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/model/model.h"

namespace espalier::model {
namespace {

using testing::HasSubstr;

BlockTree tree_named(const std::string& name) {
  return build_tree(read_config(std::filesystem::path(ESPALIER_SOURCE_DIR) / "tests" / "configs" / (name + "-unet.json")));
}

LoaderVerdict verdict(const BlockTree& tree, const std::string& loader) {
  for (const LoaderVerdict& v : loader_verdicts(tree))
    if (v.loader == loader) return v;
  ADD_FAILURE() << loader;
  return {};
}

/// SDXL with other depths in stages 1 and 2 (mid and first decoder follow the last encoder depth).
BlockTree sdxl_at(std::vector<int64_t> one, std::vector<int64_t> two) {
  BlockTree tree = tree_named("sdxl-base");
  for (size_t l = 0; l < 2; ++l) {
    tree.down[1].layers[l].attention->blocks.resize(static_cast<size_t>(one[l]));
    tree.down[2].layers[l].attention->blocks.resize(static_cast<size_t>(two[l]));
  }
  tree.mid->attention->blocks.resize(static_cast<size_t>(two[0]));
  return tree;
}

TEST(LoaderVerdicts, comfyui_knows_five_sdxl_structures) {
  for (const auto& [file, as] : {std::pair<std::string, std::string>{"sdxl-base", "SDXL"},
                                 {"ssd-1b", "SSD-1B"},
                                 {"vega", "Segmind-Vega"},
                                 {"koala-700m", "KOALA-700M"},
                                 {"koala-1b", "KOALA-1B"}}) {
    const LoaderVerdict v = verdict(tree_named(file), "comfyui");
    EXPECT_TRUE(v.opens) << file << ": " << v.reason;
    EXPECT_EQ(v.as, as + " (single file)");
  }
}

TEST(LoaderVerdicts, comfyui_leaves_decoder_and_middle_free) {
  BlockTree tree = tree_named("sdxl-base");
  tree.up[0].layers[1].attention->blocks.resize(3);
  tree.up[1].layers[2].attention->blocks.resize(1);
  tree.mid.reset();
  EXPECT_EQ(verdict(tree, "comfyui").as, "SDXL (single file)");
  EXPECT_TRUE(verdict(tree, "diffusers").opens);
  EXPECT_FALSE(verdict(tree, "stable-diffusion.cpp").opens);
}

TEST(LoaderVerdicts, comfyui_refuses_other_encoder_depths) {
  const std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> unknown = {
      {{2, 2}, {9, 10}}, {{2, 2}, {10, 9}}, {{2, 2}, {6, 6}},   {{2, 2}, {5, 5}},   {{2, 2}, {2, 2}},
      {{1, 1}, {4, 4}},  {{1, 2}, {4, 4}},  {{2, 1}, {10, 10}}, {{1, 1}, {10, 10}}, {{2, 2}, {4, 10}}};
  for (const auto& [one, two] : unknown) {
    const BlockTree tree = sdxl_at(one, two);
    const LoaderVerdict v = verdict(tree, "comfyui");
    EXPECT_FALSE(v.opens) << one[0] << one[1] << two[0] << two[1];
    EXPECT_THAT(v.reason, HasSubstr("encoder depths [0,0," + std::to_string(one[0]) + "," + std::to_string(one[1]) + ","));
    EXPECT_FALSE(verdict(tree, "stable-diffusion.cpp").opens);
    EXPECT_TRUE(verdict(tree, "diffusers").opens);
  }
}

TEST(LoaderVerdicts, comfyui_looks_at_widths_conditioning_and_constants) {
  EXPECT_THAT(verdict(tree_named("tiny-sdxl"), "comfyui").reason, HasSubstr("its context is 64 wide"));
  BlockTree tree = tree_named("sdxl-base");
  tree.config.projection_class_embeddings_input_dim = 2560;
  EXPECT_THAT(verdict(tree, "comfyui").reason, HasSubstr("added conditioning is not SDXL's"));
  tree = tree_named("sdxl-base");
  tree.config.norm_eps = 1e-6;
  EXPECT_THAT(verdict(tree, "comfyui").reason, HasSubstr("epsilon 1e-5"));
  tree = tree_named("sdxl-base");
  tree.up[0].layers[0].attention->heads = 10;
  EXPECT_THAT(verdict(tree, "comfyui").reason, HasSubstr("10 heads of width 128, not 64"));
}

TEST(LoaderVerdicts, comfyui_recognises_sd_1_by_width_and_sd_2_by_its_last_decoder_block) {
  EXPECT_EQ(verdict(tree_named("sd15"), "comfyui").as, "SD 1.x (single file)");
  EXPECT_EQ(verdict(tree_named("sd21"), "comfyui").as, "SD 2.x (single file)");
  EXPECT_TRUE(verdict(tree_named("bk-sdm-small"), "comfyui").opens);
  EXPECT_THAT(verdict(tree_named("bk-sdm-v2-base"), "comfyui").reason, HasSubstr("8 decoder resnets"));
}

TEST(LoaderVerdicts, stable_diffusion_cpp_knows_whole_structures) {
  for (const char* known : {"sdxl-base", "ssd-1b", "vega", "sd15", "sd21"})
    EXPECT_TRUE(verdict(tree_named(known), "stable-diffusion.cpp").opens) << known;
  for (const char* unknown : {"koala-700m", "koala-1b", "bk-sdm-base", "bk-sdm-tiny", "bk-sdm-v2-small", "tiny-sd", "tiny-sdxl"})
    EXPECT_FALSE(verdict(tree_named(unknown), "stable-diffusion.cpp").opens) << unknown;
  EXPECT_EQ(verdict(tree_named("ssd-1b"), "stable-diffusion.cpp").as, "SSD-1B (single file)");
}

TEST(LoaderVerdicts, diffusers_opens_what_a_config_can_say) {
  EXPECT_TRUE(verdict(tree_named("koala-1b"), "diffusers").opens);
  BlockTree tree = tree_named("sdxl-base");
  tree.mid->attention->blocks.resize(4);
  EXPECT_FALSE(verdict(tree, "diffusers").opens);
  EXPECT_THAT(verdict(tree, "diffusers").reason, HasSubstr("gives both one depth"));
}

size_t padded(const Attention& a) {
  return static_cast<size_t>(std::count_if(a.blocks.begin(), a.blocks.end(), [](const TransformerBlock& b) { return b.padded; }));
}

TEST(PadFor, fills_the_encoder_up_to_the_nearest_list_that_comfyui_knows) {
  const BlockTree teacher = tree_named("sdxl-base");
  BlockTree student = teacher;
  for (Attention* a : {&*student.down[2].layers[0].attention, &*student.down[2].layers[1].attention, &*student.mid->attention}) {
    a->blocks.erase(a->blocks.begin() + 1);  // keeps 0 and 2
    a->blocks.resize(2);
  }
  const BlockTree result = pad_for(student, teacher, "comfyui");
  EXPECT_EQ(verdict(result, "comfyui").as, "SSD-1B (single file)");
  EXPECT_TRUE(verdict(result, "diffusers").opens);
  const Attention& module = *result.down[2].layers[0].attention;
  ASSERT_EQ(module.blocks.size(), 4u);
  EXPECT_EQ(padded(module), 2u);
  EXPECT_FALSE(module.blocks[0].padded);
  EXPECT_TRUE(module.blocks[1].padded);
  EXPECT_EQ(module.blocks[1].origin, "down_blocks.2.attentions.0.transformer_blocks.1");
  EXPECT_FALSE(module.blocks[2].padded);
  EXPECT_EQ(module.blocks[2].origin, "down_blocks.2.attentions.0.transformer_blocks.2");
  EXPECT_EQ(padded(*result.mid->attention), 2u) << "the mid block keeps the depth that a config gives it";
  EXPECT_EQ(padded(*result.up[0].layers[0].attention), 0u) << "the decoder is free";
}

TEST(PadFor, reaches_a_whole_structure_of_stable_diffusion_cpp) {
  const BlockTree teacher = tree_named("ssd-1b");
  BlockTree student = teacher;
  student.up[0].layers[2].attention->blocks.resize(4);
  student.down[1].layers[0].attention->blocks.resize(1);
  const BlockTree result = pad_for(student, teacher, "stable-diffusion.cpp");
  EXPECT_EQ(verdict(result, "stable-diffusion.cpp").as, "SSD-1B (single file)");
  EXPECT_EQ(padded(*result.up[0].layers[2].attention), 6u);
  EXPECT_EQ(padded(*result.down[1].layers[0].attention), 1u);
}

TEST(PadFor, gives_back_a_student_that_opens_and_refuses_what_cannot_be_padded) {
  const BlockTree teacher = tree_named("sdxl-base");
  EXPECT_EQ(pad_for(teacher, teacher, "comfyui").transformer_blocks(), 70);
  const auto message = [&](const BlockTree& student, const std::string& loader) -> std::string {
    try {
      (void)pad_for(student, student, loader);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(teacher, "comfy"),
            "unknown loader 'comfy'; known are diffusers, comfyui, stable-diffusion.cpp; did you mean 'comfyui'?");
  EXPECT_THAT(message(tree_named("tiny-sdxl"), "comfyui"), HasSubstr("no padding with blocks of the teacher"));
  EXPECT_THAT(message(tree_named("koala-700m"), "stable-diffusion.cpp"), HasSubstr("none of those compiled in"));
}

}  // namespace
}  // namespace espalier::model
