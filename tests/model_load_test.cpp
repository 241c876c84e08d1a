// Models from folders, single files and lone configs: names both ways, what is refused, what passes through.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"
#include "core/model/key_map.h"
#include "core/model/model.h"
#include "core/model/random_weights.h"

namespace espalier::model {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

const fs::path kTests = fs::path(ESPALIER_SOURCE_DIR) / "tests";

class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "espalier-model-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path = name;
  }
  ~TempFolder() { fs::remove_all(path); }
  fs::path path;
};

UNetConfig config_named(const std::string& name) { return read_config(kTests / "configs" / (name + "-unet.json")); }

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

std::vector<std::byte> copy_of(const io::TensorRef& tensor) { return {tensor.bytes.begin(), tensor.bytes.end()}; }

/// The tensors of `source` in memory, `edit` may rename ("" drops).
std::shared_ptr<io::MemoryTensorSource> copied(const io::TensorSource& source,
                                               const std::function<std::string(std::string)>& edit) {
  auto out = std::make_shared<io::MemoryTensorSource>("copy");
  for (const std::string& name : source.names())
    if (const std::string as = edit(name); !as.empty()) out->add(as, source.get(name).type, copy_of(source.get(name)));
  return out;
}

TEST(KeyMap, gives_sdxl_its_well_known_names) {
  const KeyMap keys(build_tree(config_named("sdxl-base")));
  const std::vector<std::pair<const char*, const char*>> known = {
      {"conv_in.weight", "input_blocks.0.0.weight"},
      {"time_embedding.linear_1.bias", "time_embed.0.bias"},
      {"time_embedding.linear_2.weight", "time_embed.2.weight"},
      {"add_embedding.linear_1.weight", "label_emb.0.0.weight"},
      {"add_embedding.linear_2.bias", "label_emb.0.2.bias"},
      {"conv_norm_out.weight", "out.0.weight"},
      {"conv_out.bias", "out.2.bias"},
      {"down_blocks.0.resnets.0.norm1.weight", "input_blocks.1.0.in_layers.0.weight"},
      {"down_blocks.0.resnets.1.time_emb_proj.bias", "input_blocks.2.0.emb_layers.1.bias"},
      {"down_blocks.0.downsamplers.0.conv.weight", "input_blocks.3.0.op.weight"},
      {"down_blocks.1.resnets.0.conv_shortcut.weight", "input_blocks.4.0.skip_connection.weight"},
      {"down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
       "input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"},
      {"down_blocks.2.attentions.1.transformer_blocks.9.ff.net.0.proj.bias",
       "input_blocks.8.1.transformer_blocks.9.ff.net.0.proj.bias"},
      {"mid_block.resnets.0.conv1.weight", "middle_block.0.in_layers.2.weight"},
      {"mid_block.attentions.0.proj_in.weight", "middle_block.1.proj_in.weight"},
      {"mid_block.resnets.1.conv2.weight", "middle_block.2.out_layers.3.weight"},
      {"up_blocks.0.resnets.2.norm2.bias", "output_blocks.2.0.out_layers.0.bias"},
      {"up_blocks.0.upsamplers.0.conv.weight", "output_blocks.2.2.conv.weight"},
      {"up_blocks.1.attentions.0.norm.weight", "output_blocks.3.1.norm.weight"},
      {"up_blocks.1.upsamplers.0.conv.bias", "output_blocks.5.2.conv.bias"},
      {"up_blocks.2.resnets.2.conv_shortcut.bias", "output_blocks.8.0.skip_connection.bias"}};
  for (const auto& [diffusers, original] : known) {
    EXPECT_EQ(keys.original(diffusers), original);
    EXPECT_EQ(keys.diffusers(original), diffusers);
  }
  EXPECT_EQ(keys.original("down_blocks.9.resnets.0.conv1.weight"), "");
  EXPECT_EQ(keys.diffusers("input_blocks.9.0.in_layers.0.weight"), "");
}

TEST(KeyMap, numbers_the_blocks_of_pruned_structures_without_gaps) {
  const KeyMap koala(build_tree(config_named("koala-700m")));
  EXPECT_EQ(koala.original("down_blocks.1.attentions.0.norm.weight"), "input_blocks.3.1.norm.weight");
  EXPECT_EQ(koala.original("up_blocks.0.upsamplers.0.conv.weight"), "output_blocks.1.2.conv.weight");
  const KeyMap ssd(build_tree(config_named("ssd-1b")));
  EXPECT_EQ(ssd.original("mid_block.resnets.0.conv1.weight"), "middle_block.0.in_layers.2.weight");
  const KeyMap sd15(build_tree(config_named("sd15")));  // its innermost up stage has no attention
  EXPECT_EQ(sd15.original("up_blocks.0.upsamplers.0.conv.weight"), "output_blocks.2.1.conv.weight");
}

TEST(KeyMap, is_a_bijection_for_every_published_structure) {
  for (const auto& entry : fs::directory_iterator(kTests / "configs")) {
    if (entry.path().extension() != ".json") continue;
    const BlockTree tree = build_tree(read_config(entry.path()));
    const KeyMap keys(tree);
    std::set<std::string> one, two;
    for (const auto& [diffusers, original] : keys.rows()) {
      one.insert(diffusers);
      two.insert(original);
      EXPECT_EQ(keys.diffusers(original), diffusers);
      EXPECT_EQ(keys.original(diffusers), original);
    }
    EXPECT_EQ(one.size(), tensor_specs(tree).size()) << entry.path();
    EXPECT_EQ(two.size(), one.size()) << entry.path();
  }
}

/// A source that has the shapes of a structure under original names and no bytes worth reading.
class ShapesOnly final : public io::TensorSource {
 public:
  ShapesOnly(const BlockTree& tree, const std::string& prefix) {
    const std::vector<TensorSpec> specs = tensor_specs(tree);
    const KeyMap keys(tree);
    for (size_t i = 0; i < specs.size(); ++i) {
      names_.push_back(prefix + keys.rows()[i].second);
      shapes_[names_.back()] = specs[i].shape;
    }
  }
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return shapes_.count(std::string(name)) != 0; }
  io::TensorRef get(std::string_view name) const override { return {{DType::kF16, shapes_.at(std::string(name))}, {}}; }
  std::string describe() const override { return "shapes"; }

 private:
  std::vector<std::string> names_;
  std::map<std::string, Shape> shapes_;
};

TEST(InferConfig, finds_every_published_structure_by_its_shapes) {
  int found = 0;
  for (const auto& entry : fs::directory_iterator(kTests / "configs")) {
    if (entry.path().extension() != ".json" || entry.path().filename() == "tiny-sdxl-unet.json") continue;
    const UNetConfig want = read_config(entry.path());
    const UNetConfig got = infer_config(ShapesOnly(build_tree(want), "model.diffusion_model."), "model.diffusion_model.");
    EXPECT_EQ(structure_hash(got), structure_hash(want)) << entry.path() << write_config(got);
    EXPECT_EQ(structure_hash(parse_config(write_config(got), "written")), structure_hash(want)) << entry.path();
    ++found;
  }
  EXPECT_EQ(found, 20);
}

TEST(InferConfig, refuses_a_width_whose_heads_nobody_knows) {
  const ShapesOnly shapes(build_tree(config_named("tiny-sdxl")), "");
  EXPECT_THAT(message_of([&] { infer_config(shapes, ""); }),
              HasSubstr("its tensors do not tell the number of heads (context width 64"));
}

TEST(LoadModel, reads_a_folder_and_a_pipeline_folder) {
  const fs::path golden = kTests / "golden" / "tiny-sdxl";
  const Model folder = load_model(golden / "unet");
  EXPECT_EQ(folder.layout, ModelLayout::kUNetFolder);
  EXPECT_TRUE(folder.has_weights());
  EXPECT_TRUE(folder.rest.empty());
  const Model pipeline = load_model(golden);
  EXPECT_EQ(pipeline.layout, ModelLayout::kPipelineFolder);
  EXPECT_EQ(pipeline.rest.root, golden);
  EXPECT_EQ(pipeline.rest.files, (std::vector<fs::path>{"inputs.safetensors", "outputs.safetensors"}));
  EXPECT_EQ(structure_hash(pipeline.config), structure_hash(folder.config));
}

TEST(LoadModel, says_what_of_a_pipeline_cannot_be_passed_on) {
  const TempFolder temp;
  fs::copy(kTests / "golden" / "tiny-sdxl" / "unet", temp.path / "unet");
  write_text(temp.path / "model_index.json", "{}");
  fs::create_symlink("model_index.json", temp.path / "linked.json");
  fs::create_symlink("gone", temp.path / "broken.json");
  const Model pipeline = load_model(temp.path);
  EXPECT_EQ(pipeline.rest.files, (std::vector<fs::path>{"linked.json", "model_index.json"}));
  EXPECT_EQ(pipeline.notes, std::vector<std::string>{(temp.path / "broken.json").string() +
                                                     ": is a link to nothing, so a student goes without it"});
}

TEST(LoadModel, tells_a_list_of_shards_from_a_config) {
  const TempFolder temp;
  const fs::path index = temp.path / "diffusion_pytorch_model.safetensors.index.json";
  write_text(index, R"({"metadata": {}, "weight_map": {}})");
  EXPECT_EQ(message_of([&] { load_model(index); }),
            index.string() + ": is a list of weight files; give the folder that holds it and config.json");
}

class SingleFile : public testing::Test {
 protected:
  void write(const std::string& prefix, bool config_beside, bool config_inside) {
    folder_ = load_model(kTests / "golden" / "tiny-ssd-1b" / "unet");
    const KeyMap keys(folder_.tree);
    auto tensors = copied(*folder_.weights, [&](const std::string& name) { return prefix + keys.original(name); });
    if (!prefix.empty()) tensors->add_f32("first_stage_model.decoder.conv_in.weight", {2}, std::vector<float>{1, 2});
    std::map<std::string, std::string> metadata;
    if (config_inside) metadata[kConfigMetadataKey] = write_config(folder_.config);
    io::write_safetensors(file_, *tensors, metadata);
    if (config_beside) write_text(temp_.path / "model.json", write_config(folder_.config));
  }
  void expect_equal(const Model& model) {
    EXPECT_EQ(model.layout, ModelLayout::kSingleFile);
    EXPECT_EQ(structure_hash(model.config), structure_hash(folder_.config));
    EXPECT_EQ(model.weights->names().size(), folder_.weights->names().size());
    for (const std::string& name : folder_.weights->names()) {
      EXPECT_EQ(model.weights->get(name).type, folder_.weights->get(name).type) << name;
      EXPECT_EQ(copy_of(model.weights->get(name)), copy_of(folder_.weights->get(name))) << name;
    }
  }
  TempFolder temp_;
  fs::path file_ = temp_.path / "model.safetensors";
  Model folder_;
};

TEST_F(SingleFile, with_its_config_beside_is_the_folder) {
  write("model.diffusion_model.", true, false);
  const Model model = load_model(file_);
  expect_equal(model);
  EXPECT_EQ(model.rest.tensors, std::vector<std::string>{"first_stage_model.decoder.conv_in.weight"});
  EXPECT_EQ(model.unet_prefix, "model.diffusion_model.");
}

TEST_F(SingleFile, with_bare_names_and_its_config_in_the_metadata_is_the_folder) {
  write("", false, true);
  const Model model = load_model(file_);
  expect_equal(model);
  EXPECT_TRUE(model.rest.empty());
}

TEST_F(SingleFile, whose_heads_nobody_knows_says_what_to_put_beside_it) {
  write("model.diffusion_model.", false, false);
  EXPECT_THAT(message_of([&] { load_model(file_); }), HasSubstr("put the UNet's config.json beside the file as model.json"));
}

TEST_F(SingleFile, passes_over_a_json_of_another_tool) {
  write("model.diffusion_model.", false, true);
  write_text(temp_.path / "model.json", "{\"activation text\": \"x\"}");
  expect_equal(load_model(file_));
}

TEST(LoadModel, names_all_tensors_that_do_not_fit) {
  TempFolder temp;
  const Model good = load_model(kTests / "golden" / "tiny-koala-700m" / "unet");
  auto bad = copied(*good.weights, [](const std::string& name) -> std::string {
    if (name == "conv_in.bias" || name == "conv_out.bias") return "";
    return name;
  });
  bad->add("conv_in.bias", {DType::kI64, {8}}, std::vector<std::byte>(64));
  bad->add_f32("conv_out.bias", {5}, std::vector<float>(5));
  bad->add_f32("stray.weight", {1}, std::vector<float>(1));
  io::write_safetensors(temp.path / "diffusion_pytorch_model.safetensors", *bad);
  write_text(temp.path / "config.json", write_config(good.config));
  const std::string file = (temp.path / "diffusion_pytorch_model.safetensors").string();
  EXPECT_EQ(message_of([&] { load_model(temp.path); }),
            file + ": tensor 'conv_in.bias' is i64; weights are f32, f16 or bf16\n" + file +
                ": tensor 'conv_out.bias' has shape [5], the config asks for [4]\n" + file +
                ": tensor 'stray.weight' is not part of the structure that the config describes");
}

TEST(LoadModel, bounds_the_list_of_tensors_that_do_not_fit) {
  TempFolder temp;
  const Model good = load_model(kTests / "golden" / "tiny-sdxl" / "unet");
  fs::copy(kTests / "golden" / "tiny-sdxl" / "unet", temp.path, fs::copy_options::recursive);
  UNetConfig config = good.config;
  for (auto* side : {&config.transformer_layers_per_block, &config.reverse_transformer_layers_per_block})
    for (auto& row : *side)
      for (int64_t& depth : row) ++depth;
  ++config.mid_transformer_layers;
  write_text(temp.path / "config.json", write_config(config));
  const std::string message = message_of([&] { load_model(temp.path); });
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 20);
  EXPECT_THAT(message, HasSubstr("… and 200 more; in all 220 missing, 0 unexpected, 0 of another shape, 0 of another type"));
}

TEST(LoadModel, refuses_what_is_no_model) {
  TempFolder temp;
  const std::string missing = (temp.path / "nothing").string();
  EXPECT_EQ(message_of([&] { load_model(missing); }), missing + ": no such file or folder");
  EXPECT_EQ(message_of([&] { load_model(temp.path); }),
            temp.path.string() + ": neither config.json (a UNet folder) nor unet/ (a pipeline folder) in it");
  EXPECT_EQ(message_of([] { load_model("/dev/null"); }), "/dev/null: is not a regular file");
  const fs::path diffusers = kTests / "golden" / "tiny-sdxl" / "unet" / "diffusion_pytorch_model.safetensors";
  EXPECT_EQ(message_of([&] { load_model(diffusers); }),
            diffusers.string() + ": a file with diffusers names needs its config; give the folder that holds it and config.json");
  const fs::path inputs = kTests / "golden" / "tiny-sdxl" / "inputs.safetensors";
  EXPECT_EQ(message_of([&] { load_model(inputs); }),
            inputs.string() +
                ": no UNet with the original names in it (no tensor"
                " 'model.diffusion_model.input_blocks.0.0.weight' or 'input_blocks.0.0.weight')");
  EXPECT_THAT(message_of([] { load_model(kTests / "golden" / "tiny-sdxl" / "unet", {.random_weights = 1}); }),
              HasSubstr("it has weights; random ones are for a config alone"));
}

TEST(RandomWeights, are_a_function_of_seed_and_name_and_sized_by_fan_in) {
  const fs::path config = kTests / "configs" / "tiny-sdxl-unet.json";
  const Model one = load_model(config, {.random_weights = 7}), two = load_model(config, {.random_weights = 7});
  const Model other = load_model(config, {.random_weights = 8});
  EXPECT_EQ(load_model(config).has_weights(), false);
  const std::string name = "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight";
  (void)two.weights->get("conv_in.weight");
  EXPECT_EQ(copy_of(one.weights->get(name)), copy_of(two.weights->get(name)));
  EXPECT_NE(copy_of(one.weights->get(name)), copy_of(other.weights->get(name)));
  EXPECT_EQ(one.weights->get(name).type.dtype, DType::kF16);
  const std::vector<float> values = io::read_f32(one.weights->get(name));
  double sum = 0, squares = 0;
  for (const float v : values) sum += v, squares += static_cast<double>(v) * v;
  const auto n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0.0, 0.01);
  EXPECT_NEAR(std::sqrt(squares / n), 1 / std::sqrt(64.0), 0.06);
  for (const float v : io::read_f32(one.weights->get("conv_norm_out.weight"))) EXPECT_NEAR(v, 1.0f, 0.101f);
}

}  // namespace
}  // namespace espalier::model
