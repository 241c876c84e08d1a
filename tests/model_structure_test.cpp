// Every published structure of the family: counts, sections, unit prices, and the way config → tree → config.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/model/block_tree.h"
#include "core/model/unet_graph.h"

namespace espalier::model {
namespace {

namespace fs = std::filesystem;
const fs::path kConfigs = fs::path(ESPALIER_SOURCE_DIR) / "tests" / "configs";

UNetConfig config_named(const std::string& name) { return read_config(kConfigs / (name + "-unet.json")); }

/// Parameters of all tensors whose name begins with `prefix`.
int64_t parameters(const BlockTree& tree, const std::string& prefix = "") {
  int64_t sum = 0;
  for (const TensorSpec& spec : tensor_specs(tree))
    if (spec.name.starts_with(prefix)) sum += spec.shape.elements();
  return sum;
}

struct Counts {
  const char* name;
  int64_t parameters;
  size_t tensors;
  int64_t resnets, blocks;
};

// The table of tests/configs/README.md.
constexpr Counts kCounts[] = {{"sdxl-base", 2567463684, 1680, 17, 70},
                              {"ssd-1b", 1331334404, 944, 16, 34},
                              {"vega", 745225604, 564, 16, 15},
                              {"koala-700m", 782822724, 584, 9, 21},
                              {"koala-1b", 1161184324, 790, 11, 30},
                              {"koala-lightning-700m", 782822724, 584, 9, 21},
                              {"koala-lightning-1b", 1161184324, 790, 11, 30},
                              {"small-sd", 579384964, 442, 14, 10},
                              {"tiny-sd", 323384964, 358, 9, 9},
                              {"sd15", 859520964, 686, 22, 16},
                              {"sd21", 865910724, 686, 22, 16},
                              {"bk-sdm-base", 579384964, 442, 14, 10},
                              {"bk-sdm-small", 482346884, 396, 12, 9},
                              {"bk-sdm-tiny", 323384964, 358, 9, 9},
                              {"bk-sdm-v2-base", 583480964, 442, 14, 10},
                              {"bk-sdm-v2-small", 485787524, 396, 12, 9},
                              {"bk-sdm-v2-tiny", 326825604, 358, 9, 9},
                              {"bk-sdm-v2-im768-base", 583480964, 442, 14, 10},
                              {"bk-sdm-v2-im768-small", 485787524, 396, 12, 9},
                              {"bk-sdm-v2-im768-tiny", 326825604, 358, 9, 9},
                              {"tiny-sdxl", 1976516, 428, 12, 12}};

class PublishedConfig : public testing::TestWithParam<Counts> {};

TEST_P(PublishedConfig, has_the_published_counts) {
  const Counts& want = GetParam();
  const BlockTree tree = build_tree(config_named(want.name));
  EXPECT_EQ(parameters(tree), want.parameters);
  EXPECT_EQ(tensor_specs(tree).size(), want.tensors);
  EXPECT_EQ(tree.resnets(), want.resnets);
  EXPECT_EQ(tree.transformer_blocks(), want.blocks);
  std::map<std::string, int64_t> kinds;
  for (const BlockRef& ref : block_refs(tree)) ++kinds[ref.kind];
  EXPECT_EQ(kinds["resnet"], want.resnets);
  EXPECT_EQ(kinds["transformer_block"], want.blocks);
  EXPECT_EQ(kinds["attn1"], want.blocks);
}

TEST_P(PublishedConfig, survives_the_way_to_a_tree_and_back) {
  const UNetConfig config = config_named(GetParam().name);
  const UNetConfig back = config_of(build_tree(config));
  EXPECT_EQ(structure_hash(back), structure_hash(config));
  const std::string text = write_config(back);
  const UNetConfig again = parse_config(text, "written");
  EXPECT_EQ(structure_hash(again), structure_hash(config));
  EXPECT_EQ(again.sample_size, config.sample_size);
  EXPECT_EQ(write_config(again), text);
  const std::vector<TensorSpec> one = tensor_specs(build_tree(config)), two = tensor_specs(build_tree(again));
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].name, two[i].name);
    EXPECT_EQ(one[i].shape, two[i].shape);
    EXPECT_EQ(one[i].origin, one[i].name) << "a fresh tree is its own origin";
  }
}

TEST_P(PublishedConfig, becomes_a_graph_that_reads_every_tensor_once) {
  const BlockTree tree = build_tree(config_named(GetParam().name));
  const Graph graph = build_graph(tree, {.height = 16, .width = 16, .taps = {"*"}});
  std::map<std::string, Shape> params;
  for (const Value v : graph.params()) params[graph.def(v).label] = graph.type(v).shape;
  const std::vector<TensorSpec> specs = tensor_specs(tree);
  EXPECT_EQ(params.size(), specs.size());
  for (const TensorSpec& spec : specs) {
    ASSERT_TRUE(params.count(spec.name)) << spec.name;
    EXPECT_EQ(params[spec.name], spec.shape) << spec.name;
  }
  size_t taps = 0;
  for (const BlockRef& ref : block_refs(tree))
    taps += ref.kind != "attn2" && ref.kind != "ff" && ref.kind != "downsampler" && ref.kind != "upsampler";
  EXPECT_EQ(graph.outputs().size(), taps + 1);
}

INSTANTIATE_TEST_SUITE_P(All, PublishedConfig, testing::ValuesIn(kCounts), [](const auto& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

TEST(PublishedConfigs, are_all_in_the_table) {
  std::set<std::string> listed;
  for (const Counts& row : kCounts) listed.insert(std::string(row.name) + "-unet.json");
  for (const auto& entry : fs::directory_iterator(kConfigs))
    EXPECT_TRUE(entry.path().extension() != ".json" || listed.count(entry.path().filename())) << entry.path();
}

TEST(PublishedConfigs, have_the_published_totals_of_their_sections) {
  struct Sections {
    const char* name;
    int64_t down, mid, up;
  };
  for (const Sections& want : {Sections{"sdxl-base", 822941760, 413117440, 1324084480},
                               {"ssd-1b", 405871680, 31138560, 887004160},
                               {"koala-1b", 270656000, 274094080, 609114240},
                               {"koala-700m", 235900160, 0, 539602560},
                               {"vega", 246838080, 31138560, 459928960},
                               {"sd21", 251906240, 97693440, 514236480},
                               {"sd15", 249612480, 97038080, 510795840},
                               {"small-sd", 130388160, 97038080, 349884160},
                               {"bk-sdm-base", 130388160, 97038080, 349884160},
                               {"bk-sdm-small", 130388160, 0, 349884160},
                               {"bk-sdm-tiny", 84502720, 0, 236807680},
                               {"tiny-sd", 84502720, 0, 236807680}}) {
    const BlockTree tree = build_tree(config_named(want.name));
    EXPECT_EQ(parameters(tree, "down_blocks."), want.down) << want.name;
    EXPECT_EQ(parameters(tree, "mid_block."), want.mid) << want.name;
    EXPECT_EQ(parameters(tree, "up_blocks."), want.up) << want.name;
  }
}

TEST(SdxlPrices, are_those_of_the_published_table) {
  const BlockTree tree = build_tree(config_named("sdxl-base"));
  const std::vector<std::pair<const char*, int64_t>> prices = {{"conv_in.", 11840},
                                                               {"time_embedding.", 2050560},
                                                               {"add_embedding.", 5245440},
                                                               {"conv_norm_out.", 640},
                                                               {"conv_out.", 11524},
                                                               {"down_blocks.2.attentions.0.transformer_blocks.7.", 34755840},
                                                               {"mid_block.attentions.0.transformer_blocks.0.", 34755840},
                                                               {"up_blocks.0.attentions.2.transformer_blocks.9.", 34755840},
                                                               {"down_blocks.1.attentions.1.transformer_blocks.0.", 10005120},
                                                               {"up_blocks.1.attentions.0.transformer_blocks.1.", 10005120},
                                                               {"down_blocks.2.attentions.0.", 350840320},
                                                               {"down_blocks.1.attentions.0.", 20832000},
                                                               {"down_blocks.0.resnets.0.", 2255040},
                                                               {"down_blocks.0.resnets.1.", 2255040},
                                                               {"down_blocks.0.downsamplers.0.", 921920},
                                                               {"down_blocks.1.resnets.0.", 6558080},
                                                               {"down_blocks.1.resnets.1.", 8196480},
                                                               {"down_blocks.1.downsamplers.0.", 3687040},
                                                               {"down_blocks.2.resnets.0.", 24584960},
                                                               {"down_blocks.2.resnets.1.", 31138560},
                                                               {"mid_block.resnets.0.", 31138560},
                                                               {"mid_block.resnets.1.", 31138560},
                                                               {"up_blocks.0.resnets.0.", 49164800},
                                                               {"up_blocks.0.resnets.1.", 49164800},
                                                               {"up_blocks.0.resnets.2.", 40971520},
                                                               {"up_blocks.0.upsamplers.0.", 14746880},
                                                               {"up_blocks.1.resnets.0.", 16801280},
                                                               {"up_blocks.1.resnets.1.", 12704000},
                                                               {"up_blocks.1.resnets.2.", 10655360},
                                                               {"up_blocks.1.upsamplers.0.", 3687040},
                                                               {"up_blocks.2.resnets.0.", 4407040},
                                                               {"up_blocks.2.resnets.1.", 3382400},
                                                               {"up_blocks.2.resnets.2.", 3382400}};
  for (const auto& [prefix, want] : prices) EXPECT_EQ(parameters(tree, prefix), want) << prefix;
  const auto wrapper = [&](const std::string& module) {
    int64_t sum = 0;
    for (const TensorSpec& spec : tensor_specs(tree))
      if (spec.path == module) sum += spec.shape.elements();
    return sum;
  };
  EXPECT_EQ(wrapper("down_blocks.2.attentions.1"), 3281920);
  EXPECT_EQ(wrapper("up_blocks.1.attentions.1"), 821760);
}

TEST(SdxlPrices, of_modules_at_other_depths_are_those_of_the_published_table) {
  const auto module = [](const char* name, const char* prefix) { return parameters(build_tree(config_named(name)), prefix); };
  EXPECT_EQ(module("koala-1b", "down_blocks.2.attentions.0."), 211816960);    // depth 6
  EXPECT_EQ(module("koala-700m", "down_blocks.2.attentions.0."), 177061120);  // depth 5
  EXPECT_EQ(module("ssd-1b", "down_blocks.2.attentions.0."), 142305280);      // depth 4
  EXPECT_EQ(module("vega", "down_blocks.2.attentions.0."), 72793600);         // depth 2
  EXPECT_EQ(module("vega", "down_blocks.1.attentions.0."), 10826880);         // width 640, depth 1
}

TEST(SdxlGraph, is_built_in_under_300_ms) {
  const auto start = std::chrono::steady_clock::now();
  const BlockTree tree = build_tree(config_named("sdxl-base"));
  const Graph graph = build_graph(tree, {});
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  std::cout << "config to graph: " << took.count() << " ms, " << graph.nodes().size() << " nodes\n";
  EXPECT_EQ(graph.type(graph.outputs().front().value).shape, (Shape{1, 128, 128, 4}));
  EXPECT_LT(took.count(), 300.0);
}

TEST(StructureHash, is_equal_for_equivalent_spellings) {
  const auto hash = [](const std::string& fields) { return structure_hash(parse_config("{" + fields + "}", "test")); };
  const std::string plain = hash("");
  EXPECT_EQ(plain.substr(0, 7), "sha256:");
  EXPECT_EQ(plain.size(), 7u + 64u);
  for (const char* same : {R"("layers_per_block": [2,2,2,2])", R"("attention_head_dim": [8,8,8,8])", R"("act_fn": "swish")",
                           R"("cross_attention_dim": [1280,1280,1280,1280])", R"("freq_shift": 0.0)", R"("sample_size": 96)",
                           R"("mid_block_type": "UNetMidBlock2DCrossAttn", "_diffusers_version": "9")",
                           R"("transformer_layers_per_block": [1,1,1,1])", R"("dropout": 0.0, "upcast_attention": null)",
                           R"("reverse_transformer_layers_per_block": [7,[1,1,1],1,1])", R"("time_embedding_dim": 1280)",
                           R"("transformer_layers_per_block": [[1,1],1,1,1], "reverse_transformer_layers_per_block": [1,1,1,1])"})
    EXPECT_EQ(hash(same), plain) << same;
  for (const char* other : {R"("mid_block_type": null)", R"("mid_block_type": "UNetMidBlock2D")", R"("layers_per_block": 1)",
                            R"("transformer_layers_per_block": 2)", R"("norm_eps": 1e-6)", R"("freq_shift": 1)",
                            R"("in_channels": 9)", R"("downsample_padding": 0)", R"("use_linear_projection": true)",
                            R"("transformer_layers_per_block": [1,1,1,2])", R"("attention_head_dim": [8,8,8,16])"})
    EXPECT_NE(hash(other), plain) << other;
}

TEST(StructureHash, ignores_heads_where_nothing_attends) {
  UNetConfig config = config_named("ssd-1b");
  const std::string before = structure_hash(config);
  config.heads[0] = 99;
  EXPECT_EQ(structure_hash(config), before);
  config.heads[1] = 20;
  EXPECT_NE(structure_hash(config), before);
}

TEST(WriteConfig, keeps_what_is_not_structural_and_writes_nested_lists_only_where_they_are_needed) {
  const UNetConfig sdxl = config_named("sdxl-base");
  EXPECT_EQ(write_config(sdxl).find("reverse_transformer_layers_per_block\": ["), std::string::npos);
  EXPECT_NE(write_config(sdxl).find("\"addition_embed_type_num_heads\": 64"), std::string::npos);
  BlockTree tree = build_tree(sdxl);
  tree.up[0].layers[1].attention->blocks.resize(3);
  const std::string text = write_config(config_of(tree));
  const UNetConfig read = parse_config(text, "written");
  EXPECT_EQ(read.reverse_transformer_layers_per_block[0], (std::vector<int64_t>{10, 3, 10}));
  EXPECT_EQ(read.transformer_layers_per_block[2], (std::vector<int64_t>{10, 10}));
  tree.down[2].layers[1].attention->blocks.resize(4);
  EXPECT_EQ(parse_config(write_config(config_of(tree)), "written").transformer_layers_per_block[2],
            (std::vector<int64_t>{10, 4}));
}

TEST(WriteConfig, spells_an_unchanged_config_as_it_was_read) {
  for (const char* name : {"sdxl-base", "ssd-1b", "sd15", "koala-700m"}) {
    const UNetConfig config = config_named(name);
    const std::string once = write_config(config), twice = write_config(parse_config(once, "once"));
    EXPECT_EQ(once, twice) << name;
    EXPECT_EQ(std::count(once.begin(), once.end(), '\n'),
              std::count(config.raw.begin(), config.raw.end(), '\n') + (config.raw.back() != '\n'))
        << name << ": no field appears or goes";
  }
}

TEST(ConfigOf, names_what_no_config_can_say) {
  const BlockTree sdxl = build_tree(config_named("sdxl-base"));
  const auto message = [](const BlockTree& tree) -> std::string {
    try {
      (void)config_of(tree);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  BlockTree tree = sdxl;
  tree.mid->attention->blocks.resize(4);
  EXPECT_EQ(message(tree),
            "mid_block.attentions.0 has 4 transformer blocks and down_blocks.2.attentions.0 has 10; a diffusers config gives both"
            " one depth");
  tree = sdxl;
  tree.mid->attention.reset();
  EXPECT_EQ(message(tree),
            "mid_block: 2 resnets without attention; a diffusers config has two resnets with attention, one resnet alone, or no"
            " mid block");
  tree = sdxl;
  tree.down[1].layers[1].attention.reset();
  EXPECT_EQ(message(tree), "down_blocks.1: 1 of its 2 resnets have an attention module; a diffusers config has all or none");
  tree = sdxl;
  tree.down[2].layers.pop_back();
  EXPECT_EQ(message(tree),
            "down_blocks.2 has 1 resnets and up_blocks.0 has 3; in a diffusers config the up stage has one more (each reads one"
            " skip)");
  tree = sdxl;
  tree.down[0].sampler = false;
  EXPECT_EQ(message(tree), "down_blocks.0: it has no sampler, in a diffusers config all stages but the last have one");
}

}  // namespace
}  // namespace espalier::model
