// Configs that are refused, each with its exact message: file, line, column, what is wrong, what to do.

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/model/unet_config.h"
#include "core/model/unet_graph.h"

namespace espalier::model {
namespace {

std::string message_of(const std::string& json) {
  try {
    (void)parse_config(json, "c.json");
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code(), 2);
    return error.what();
  }
  return "(accepted)";
}

struct BadConfig {
  const char* json;
  const char* message;
};

const BadConfig kBad[] = {
    {"[]", "c.json:1:1: a UNet config is an object, not an array"},
    {R"({"_class_name": "AutoencoderKL"})",
     "c.json:1:17: '_class_name' is \"AutoencoderKL\"; espalier reads the config of a UNet2DConditionModel"},
    {R"({"layers_per_blok": 2})", "c.json:1:21: unknown field 'layers_per_blok'; did you mean 'layers_per_block'?"},
    {R"({"zzz": 2})", "c.json:1:9: unknown field 'zzz'"},
    {R"({"act_fn": "gelu"})", "c.json:1:12: 'act_fn' is \"gelu\", but only \"silu\" is implemented"},
    {R"({"dropout": 0.5})", "c.json:1:13: 'dropout' is 0.5, but only 0 is implemented"},
    {R"({"only_cross_attention": [false, true]})",
     "c.json:1:26: 'only_cross_attention' is a list, but only false is implemented"},
    {R"({"num_attention_heads": 8})",
     "c.json:1:25: 'num_attention_heads' is 8, but only null is implemented; diffusers refuses it too: give the number of heads "
     "as"
     " attention_head_dim"},
    {R"({"class_embed_type": "timestep"})", "c.json:1:22: 'class_embed_type' is \"timestep\", but only null is implemented"},
    {R"({"resnet_time_scale_shift": "scale_shift"})",
     "c.json:1:29: 'resnet_time_scale_shift' is \"scale_shift\", but only \"default\" is implemented"},
    {R"({"conv_in_kernel": 1})", "c.json:1:20: 'conv_in_kernel' is 1, but only 3 is implemented"},
    {R"({"dual_cross_attention": true})", "c.json:1:26: 'dual_cross_attention' is true, but only false is implemented"},
    {R"({"time_embedding_dim": 64})",
     "c.json:1:24: 'time_embedding_dim' is 64, but only four times the first block_out_channels (1280) is implemented"},
    {R"({"addition_embed_type": "text"})",
     "c.json:1:25: 'addition_embed_type' is \"text\", but only \"text_time\" and null are implemented"},
    {R"({"addition_embed_type": "text_time", "addition_time_embed_dim": 8})",
     "c.json:1:1: 'addition_embed_type' \"text_time\" needs 'projection_class_embeddings_input_dim'"},
    {R"({"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 48})",
     "c.json:1:109: 'projection_class_embeddings_input_dim' is 48; it must exceed the six time embeddings (48)"},
    {R"({"in_channels": 0})", "c.json:1:17: 'in_channels' must be 1 to 1048575, not 0"},
    {R"({"out_channels": 1048576})", "c.json:1:18: 'out_channels' must be 1 to 1048575, not 1048576"},
    {R"({"in_channels": "4"})", "c.json:1:17: 'in_channels' must be an integer, not a string"},
    {R"({"norm_eps": 0})", "c.json:1:14: 'norm_eps' must be above 0"},
    {R"({"norm_num_groups": null})", "c.json:1:21: 'norm_num_groups' must be an integer, not null"},
    {R"({"norm_num_groups": 48})",
     "c.json:1:1: 'block_out_channels' entry 0 is 320, which 'norm_num_groups' 48 does not divide\n"
     "c.json:1:1: 'block_out_channels' entry 1 is 640, which 'norm_num_groups' 48 does not divide\n"
     "c.json:1:1: 'block_out_channels' entry 2 is 1280, which 'norm_num_groups' 48 does not divide\n"
     "c.json:1:1: 'block_out_channels' entry 3 is 1280, which 'norm_num_groups' 48 does not divide"},
    {R"({"attention_head_dim": [8, 8, 8, 7]})",
     "c.json:1:24: 'attention_head_dim' gives stage 3 7 heads, which do not divide its 1280 channels (the field holds the number"
     " of heads)"},
    {R"({"attention_head_dim": [8, 8]})", "c.json:1:24: 'attention_head_dim' has 2 entries for 4 stages"},
    {R"({"downsample_padding": 2})", "c.json:1:24: 'downsample_padding' must be 0 to 1, not 2"},
    {R"({"sample_size": [8, 8, 8]})", "c.json:1:17: 'sample_size' must be an integer, null, or [height, width]"},
    {R"({"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"})",
     "c.json:1:20: 'mid_block_type' has \"UNetMidBlock2DSimpleCrossAttn\"; implemented are UNetMidBlock2DCrossAttn,"
     " UNetMidBlock2D; did you mean 'UNetMidBlock2DCrossAttn'?"},
    {R"({"up_block_types": ["UpBlock2D"]})", "c.json:1:20: 'up_block_types' has 1 entries, 'down_block_types' has 4"},
    {R"({"block_out_channels": [320]})", "c.json:1:24: 'block_out_channels' has 1 entries, 'down_block_types' has 4"},
    {R"({"layers_per_block": [1, 0, 1, 1]})", "c.json:1:26: 'layers_per_block' must be 1 to 64, not 0"},
    {R"({"layers_per_block": 1.5})", "c.json:1:22: 'layers_per_block' must be an integer or a list of integers, not a number"},
    {R"({"transformer_layers_per_block": [[1, 2], 1, 1, 1]})",
     "c.json:1:34: 'transformer_layers_per_block' is nested, so 'reverse_transformer_layers_per_block' must be given too"
     " (diffusers refuses it otherwise)"},
    {R"({"transformer_layers_per_block": [[1, 2, 3], 1, 1, 1], "reverse_transformer_layers_per_block": [1, 1, 1, 1]})",
     "c.json:1:34: 'transformer_layers_per_block' entry 0 has 3 depths for 2 attention modules"},
    {R"({"reverse_transformer_layers_per_block": 1})",
     "c.json:1:42: 'reverse_transformer_layers_per_block' must be null or a list, not an integer"},
    {R"({"transformer_layers_per_block": -1})", "c.json:1:34: 'transformer_layers_per_block' must be 0 to 512, not -1"},
    {R"({"transformer_layers_per_block": 512})", "c.json:1:34: the config describes 8192 transformer blocks; 4096 are possible"},
    {R"({"freq_shift": 160})",
     "c.json:1:16: 'freq_shift' is half the width of a time embedding, so that its frequencies divide by zero"},
    {"{\"in_channels\": 0,\n \"act_fn\": 3,\n \"colour\": 1,\n \"flip_sin_to_cos\": 1}",
     "c.json:2:12: 'act_fn' is 3, but only \"silu\" is implemented\n"
     "c.json:3:12: unknown field 'colour'\n"
     "c.json:1:17: 'in_channels' must be 1 to 1048575, not 0\n"
     "c.json:4:21: 'flip_sin_to_cos' must be true or false, not an integer"},
};

TEST(BadConfig, is_refused_with_file_line_column_and_reason) {
  for (const BadConfig& bad : kBad) EXPECT_EQ(message_of(bad.json), bad.message) << bad.json;
}

TEST(GoodConfig, may_leave_out_everything_or_spell_it_another_way) {
  for (const char* good :
       {"{}", R"({"_name_or_path": "x", "_anything": [1]})", R"({"act_fn": "swish", "mid_block_only_cross_attention": false})",
        R"({"sample_size": null, "upcast_attention": true})",
        R"({"sample_size": [64, 96], "only_cross_attention": [false, false]})",
        R"({"mid_block_scale_factor": 1.0, "time_embedding_dim": 1280, "reverse_transformer_layers_per_block": null})"})
    EXPECT_EQ(message_of(good), "(accepted)") << good;
  EXPECT_EQ(parse_config(R"({"sample_size": [64, 96]})", "c").default_width(), 96);
  EXPECT_EQ(parse_config("{}", "c").mid_block_type, "UNetMidBlock2DCrossAttn");
  EXPECT_EQ(parse_config(R"({"mid_block_type": null})", "c").mid_block_type, std::nullopt);
}

std::string graph_message(const UNetConfig& config, const GraphOptions& options) {
  try {
    (void)build_graph(build_tree(config), options);
  } catch (const UserError& error) {
    return error.what();
  }
  return "(built)";
}

TEST(BuildGraph, refuses_sizes_and_taps_that_do_not_exist) {
  const UNetConfig config = parse_config("{}", "c");
  EXPECT_EQ(graph_message(config, {}), "the config has no sample_size: give the latent's height and width");
  EXPECT_EQ(graph_message(config, {.batch = 0, .height = 8, .width = 8}), "the batch is 0; it must be 1 to 1048575");
  EXPECT_EQ(graph_message(config, {.height = 8, .width = 8, .taps = {"*", "mid_blok", "zz*"}}),
            "no stage, resnet, attention module, transformer block or attn1 is called 'mid_blok'; did you mean 'mid_block'?\n"
            "no stage, resnet, attention module, transformer block or attn1 is called 'zz*'");
  const UNetConfig mixed = parse_config(R"({"cross_attention_dim": [8, 16, 8, 8]})", "c");
  EXPECT_EQ(graph_message(mixed, {.height = 8, .width = 8}),
            "stages with different cross_attention_dim need several encoder_hidden_states; one is implemented");
  const UNetConfig unpadded = parse_config(R"({"downsample_padding": 0})", "c");
  EXPECT_EQ(graph_message(unpadded, {.height = 4, .width = 4}),
            "a latent of 4x4 is too small: nothing is left of it in down_blocks.2");
}

TEST(Gates, are_one_per_unit_in_the_order_of_the_input) {
  const BlockTree tree = build_tree(parse_config(R"({"layers_per_block": 1})", "c"));
  const std::vector<std::string> units = gate_units(tree);
  const Graph graph = build_graph(tree, {.height = 8, .width = 8, .gates = true});
  EXPECT_EQ(graph.type(graph.find_input("gates")).shape, (Shape{static_cast<int64_t>(units.size())}));
  size_t gates = 0;
  std::vector<bool> seen(units.size());
  for (const Node& node : graph.nodes())
    if (node.kind == NodeKind::kOp && *node.op->name == "gate") {
      const auto index = static_cast<size_t>(node.attrs.i("index"));
      ASSERT_LT(index, units.size());
      EXPECT_FALSE(seen[index]);
      seen[index] = true;
      EXPECT_EQ(node.path, units[index]);
      ++gates;
    }
  EXPECT_EQ(gates, units.size());
}

}  // namespace
}  // namespace espalier::model
