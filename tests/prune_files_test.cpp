// Students on disk: bytes, origins, whole folders, exports, and what padded students compute.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "core/base/files.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"
#include "core/model/unet_graph.h"
#include "core/ops/interpret.h"
#include "core/prune/certificate.h"
#include "core/prune/diff.h"
#include "core/prune/export.h"
#include "core/prune/student_files.h"
#include "tests/support/prune_cases.h"

namespace espalier::prune {
namespace {

namespace fs = std::filesystem;
using model::BlockTree;
using model::Model;
using testing::error_of;
using ::testing::IsEmpty;
using testing::plan_for;
using testing::TempFolder;
using testing::tree_text;
using ::testing::UnorderedElementsAre;

fs::path golden(const std::string& name) { return fs::path(ESPALIER_SOURCE_DIR) / "tests/golden" / name; }

/// tiny-sdxl without the mid block's tail and with two of four blocks in two modules.
RemovalPlan tiny_plan(const BlockTree& teacher) {
  return plan_for(teacher, {"mid_block.attentions.0", "mid_block.resnets.1", "down_blocks.2.attentions.0.transformer_blocks.1",
                            "down_blocks.2.attentions.0.transformer_blocks.3", "up_blocks.0.attentions.1.transformer_blocks.0",
                            "up_blocks.0.attentions.1.transformer_blocks.1"});
}

/// tiny-koala-700m and tiny-sd15 lose a pair on each side; every other teacher what `tiny_plan` names.
RemovalPlan golden_plan(const std::string& name, const BlockTree& teacher) {
  if (name == "tiny-sdxl") return tiny_plan(teacher);
  if (name == "tiny-sd15")
    return plan_for(
        teacher, {"down_blocks.0.resnets.1", "down_blocks.0.attentions.1", "up_blocks.3.resnets.1", "up_blocks.3.attentions.1"});
  return plan_for(teacher, {"down_blocks.2.attentions.0.transformer_blocks.0"});
}

bool same_bytes(const io::TensorRef& a, const io::TensorRef& b) {
  return a.type == b.type && std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
}

std::map<std::string, std::string> folder_contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[fs::relative(entry.path(), folder)] = read_text(entry.path(), uint64_t{1} << 30);
  return files;
}

class Goldens : public ::testing::TestWithParam<const char*> {};

TEST_P(Goldens, every_student_tensor_is_byte_equal_to_its_origin) {
  const TempFolder temp;
  const Model teacher = model::load_model(golden(GetParam()) / "unet");
  const RemovalPlan plan = golden_plan(GetParam(), teacher.tree);
  write_student(teacher, apply_plan(teacher.tree, plan), plan, temp.path() / "student");
  const Model student = model::load_model(temp.path() / "student");
  const OriginMap origins = read_origins(temp.path() / "student/origin.json");
  EXPECT_EQ(origins.teacher, model::structure_hash(teacher.config));
  EXPECT_EQ(origins.tensors.size(), student.weights->names().size());
  for (const std::string& name : student.weights->names()) {
    const auto origin = origins.tensors.find(name);
    ASSERT_NE(origin, origins.tensors.end()) << name;
    EXPECT_TRUE(same_bytes(student.weights->get(name), teacher.weights->get(origin->second))) << name;
  }
  EXPECT_LT(student.weights->names().size(), teacher.weights->names().size());
}

TEST_P(Goldens, plan_file_reproduces_the_folder_byte_for_byte) {
  const TempFolder temp;
  const Model teacher = model::load_model(golden(GetParam()) / "unet");
  RemovalPlan plan = golden_plan(GetParam(), teacher.tree);
  plan.notes = {"made by a test"};
  write_student(teacher, apply_plan(teacher.tree, plan), plan, temp.path() / "first");
  const RemovalPlan again = read_plan(temp.path() / "first/plan.toml");
  write_student(teacher, apply_plan(teacher.tree, again), again, temp.path() / "second");
  EXPECT_EQ(folder_contents(temp.path() / "first"), folder_contents(temp.path() / "second"));
  EXPECT_EQ(folder_contents(temp.path() / "first").size(), 4u);
}

TEST_P(Goldens, apply_then_invert_gives_the_teacher_byte_for_byte) {
  const TempFolder temp;
  const Model teacher = model::load_model(golden(GetParam()) / "unet");
  const RemovalPlan plan = golden_plan(GetParam(), teacher.tree);
  const BlockTree pruned = apply_plan(teacher.tree, plan);
  write_student(teacher, pruned, plan, temp.path() / "student");
  EXPECT_EQ(tree_text(invert_plan(pruned, teacher.tree, plan)), tree_text(teacher.tree));
  // What the student has goes back under its origin's name; only what the plan removed comes from the teacher.
  const Model student = model::load_model(temp.path() / "student");
  std::map<std::string, std::string> back;
  for (const auto& [name, origin] : read_origins(temp.path() / "student/origin.json").tensors)
    EXPECT_TRUE(back.emplace(origin, name).second);
  for (const model::TensorSpec& spec : model::tensor_specs(teacher.tree)) {
    const bool removed = std::any_of(plan.removals.begin(), plan.removals.end(),
                                     [&](const Removal& r) { return spec.path.rfind(r.path, 0) == 0; });
    EXPECT_NE(back.count(spec.name) > 0, removed) << spec.name;
    if (!removed) {
      EXPECT_TRUE(same_bytes(student.weights->get(back.at(spec.name)), teacher.weights->get(spec.name))) << spec.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Goldens, ::testing::Values("tiny-sdxl", "tiny-sd15", "tiny-koala-700m"), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Student, of_a_pipeline_keeps_everything_beside_the_unet) {
  const TempFolder temp;
  const fs::path pipeline = temp.path() / "pipe";
  fs::create_directories(pipeline / "vae");
  fs::copy(golden("tiny-sdxl") / "unet", pipeline / "unet", fs::copy_options::recursive);
  write_text(pipeline / "model_index.json", "{\"_class_name\": \"StableDiffusionXLPipeline\"}\n");
  write_text(pipeline / "vae/weights.bin", std::string("\0\xff\n", 3));
  const Model teacher = model::load_model(pipeline);
  const RemovalPlan plan = tiny_plan(teacher.tree);
  write_student(teacher, apply_plan(teacher.tree, plan), plan, temp.path() / "student");
  auto files = folder_contents(temp.path() / "student");
  EXPECT_EQ(files["vae/weights.bin"], std::string("\0\xff\n", 3));
  EXPECT_EQ(files["model_index.json"], "{\"_class_name\": \"StableDiffusionXLPipeline\"}\n");
  EXPECT_EQ(files.size(), 6u);
  // A student is a teacher too: its own plan and origin map are not carried along.
  const Model second = model::load_model(temp.path() / "student");
  const RemovalPlan more = plan_for(second.tree, {"up_blocks.0.attentions.0.transformer_blocks.2"});
  write_student(second, apply_plan(second.tree, more), more, temp.path() / "third");
  EXPECT_EQ(read_plan(temp.path() / "third/plan.toml").removals.size(), 1u);
  EXPECT_EQ(folder_contents(temp.path() / "third").size(), 6u);
}

TEST(Student, of_a_lone_config_has_no_weights) {
  const TempFolder temp;
  const Model teacher = model::load_model(testing::config_file("sdxl-base"));
  const RemovalPlan plan = plan_for(teacher.tree, {"mid_block"});
  write_student(teacher, apply_plan(teacher.tree, plan), plan, temp.path() / "student");
  EXPECT_FALSE(fs::exists(temp.path() / "student/unet/diffusion_pytorch_model.safetensors"));
  EXPECT_EQ(model::load_model(temp.path() / "student/unet/config.json").config.mid_block_type, std::nullopt);
}

TEST(Student, never_overwrites) {
  const TempFolder temp;
  const Model teacher = model::load_model(golden("tiny-sdxl") / "unet");
  const RemovalPlan plan = tiny_plan(teacher.tree);
  const BlockTree student = apply_plan(teacher.tree, plan);
  write_student(teacher, student, plan, temp.path() / "student");
  const auto before = folder_contents(temp.path());
  EXPECT_NE(error_of([&] { write_student(teacher, student, plan, temp.path() / "student"); }), "");
  EXPECT_EQ(folder_contents(temp.path()), before);
}

/// The output of a model for inputs that depend on nothing but their index.
std::vector<double> output_of(const Model& m) {
  const Graph graph = model::build_graph(m.tree, {.batch = 1, .height = 8, .width = 8, .tokens = 5});
  return ops::interpret(
             graph,
             [&](const Node& node) {
               if (node.kind == NodeKind::kParam) {
                 const std::vector<float> values = io::read_f32(m.weights->get(node.label));
                 return std::vector<double>(values.begin(), values.end());
               }
               std::vector<double> values(static_cast<size_t>(graph.type(node.results[0]).shape.elements()));
               for (size_t i = 0; i < values.size(); ++i)
                 values[i] = node.label == "timestep" ? 37 : std::sin(1.7 * static_cast<double>(i + node.label.size()));
               return values;
             },
             false)
      .front();
}

/// The teacher's tree with the removed transformer blocks marked padded instead: what padding does in full.
BlockTree padded_tree(const BlockTree& teacher, const RemovalPlan& plan) {
  BlockTree tree = teacher;
  const auto mark = [&](std::optional<model::Attention>& attention) {
    if (!attention) return;
    for (model::TransformerBlock& block : attention->blocks)
      for (const Removal& removal : plan.removals) block.padded = block.padded || removal.path == block.origin;
  };
  for (auto* side : {&tree.down, &tree.up})
    for (model::Stage& stage : *side)
      for (model::Layer& layer : stage.layers) mark(layer.attention);
  if (tree.mid) mark(tree.mid->attention);
  return tree;
}

TEST(Padded, student_computes_what_the_compact_one_computes) {
  const TempFolder temp;
  const Model teacher = model::load_model(golden("tiny-sdxl") / "unet");
  const RemovalPlan plan =
      plan_for(teacher.tree, {"down_blocks.2.attentions.0.transformer_blocks.1", "mid_block.attentions.0.transformer_blocks.0",
                              "up_blocks.0.attentions.1.transformer_blocks.3", "up_blocks.0.attentions.1.transformer_blocks.0"});
  write_student(teacher, apply_plan(teacher.tree, plan), plan, temp.path() / "compact");
  const BlockTree padded = padded_tree(teacher.tree, plan);
  write_student(teacher, padded, plan, temp.path() / "padded");
  EXPECT_EQ(zeroed_tensors(padded).size(), 4u * 6u);
  const std::vector<double> compact_output = output_of(model::load_model(temp.path() / "compact"));
  const std::vector<double> padded_output = output_of(model::load_model(temp.path() / "padded"));
  const std::vector<double> teacher_output = output_of(teacher);
  double largest = 0, from_compact = 0, from_teacher = 0;
  for (size_t i = 0; i < compact_output.size(); ++i) {
    largest = std::max(largest, std::abs(compact_output[i]));
    from_compact = std::max(from_compact, std::abs(compact_output[i] - padded_output[i]));
    from_teacher = std::max(from_teacher, std::abs(teacher_output[i] - padded_output[i]));
  }
  EXPECT_LE(from_compact, 1e-12 * largest);
  EXPECT_GT(from_teacher, 1e-4 * largest) << "the removed blocks did nothing: the test shows nothing";
  const OriginMap origins = read_origins(temp.path() / "padded/origin.json");
  EXPECT_EQ(origins.tensors.count("mid_block.attentions.0.transformer_blocks.0.ff.net.2.bias"), 0u);
  EXPECT_EQ(origins.tensors.count("mid_block.attentions.0.transformer_blocks.0.norm1.weight"), 1u);
}

TEST(Padded, a_plan_that_no_config_expresses_is_padded_for_diffusers) {
  const Model teacher = model::load_model(golden("tiny-sdxl") / "unet");
  for (const char* path : {"down_blocks.2.attentions.0.transformer_blocks.1", "mid_block.attentions.0.transformer_blocks.2"}) {
    const RemovalPlan plan = plan_for(teacher.tree, {path});
    EXPECT_NE(error_of([&] { apply_plan(teacher.tree, plan); }).find("a config gives the mid block the depth"),
              std::string::npos);
    const BlockTree student = apply_plan(teacher.tree, plan, "plan", Expressible::kPadded);
    EXPECT_TRUE(certify(teacher.tree, plan, student).holds) << path;
    const BlockTree padded = model::pad_for(student, teacher.tree, "diffusers");
    EXPECT_EQ(tree_text(padded), tree_text(padded_tree(teacher.tree, plan))) << path;
    EXPECT_EQ(zeroed_tensors(padded).size(), 6u) << path;
  }
}

TEST(Padded, student_opens_in_the_loader_that_it_is_padded_for) {
  const BlockTree teacher = testing::tree_of("sdxl-base");
  const RemovalPlan plan =
      plan_for(teacher, {"down_blocks.2.attentions.1.transformer_blocks.8", "down_blocks.1.attentions.0.transformer_blocks.0"});
  const BlockTree student = apply_plan(teacher, plan);
  const auto opens = [](const BlockTree& tree) { return model::loader_verdicts(tree)[1].opens; };
  EXPECT_FALSE(opens(student));
  const BlockTree padded = model::pad_for(student, teacher, "comfyui");
  EXPECT_TRUE(opens(padded));
  EXPECT_EQ(zeroed_tensors(padded).size(), 2u * 6u);
}

TEST(Export, to_one_file_and_back_is_byte_equal) {
  const TempFolder temp;
  const Model first = model::load_model(golden("tiny-sdxl") / "unet");
  const ExportReport report = export_single_file(first, temp.path() / "one.safetensors", DType::kNone);
  EXPECT_EQ(report.tensors, first.weights->names().size());
  const Model one = model::load_model(temp.path() / "one.safetensors");
  EXPECT_EQ(one.layout, model::ModelLayout::kSingleFile);
  export_diffusers(one, temp.path() / "back", DType::kNone);
  const ModelDiff diff = diff_models(first, model::load_model(temp.path() / "back"));
  EXPECT_TRUE(diff.same());
  EXPECT_EQ(diff.equal_tensors, first.weights->names().size());
}

TEST(Export, passes_the_other_tensors_of_a_checkpoint_through) {
  const TempFolder temp;
  const Model unet = model::load_model(golden("tiny-sdxl") / "unet");
  export_single_file(unet, temp.path() / "unet.safetensors", DType::kNone);
  // A checkpoint with a text encoder's tensors of types that espalier never computes with; F8_E4M3 it cannot even name.
  const io::TensorSourcePtr names = io::open_safetensors(temp.path() / "unet.safetensors");
  std::vector<io::TensorDecl> decls;
  for (const std::string& name : names->names()) decls.push_back({name, names->get(name).type});
  decls.push_back({"conditioner.embedders.0.ids", {DType::kI64, {2}}});
  const std::vector<int64_t> ids = {7, -1};
  const std::vector<uint8_t> eighths = {0x7f, 0x80, 0xff};  // two NaNs and a negative zero
  const io::RawTensor f8{"F8_E4M3", {3}, std::as_bytes(std::span(eighths))};
  decls.push_back(io::passed_on("conditioner.embedders.0.f8", f8));
  io::SafetensorsWriter writer(temp.path() / "full.safetensors", decls, io::read_metadata(temp.path() / "unet.safetensors"));
  for (const std::string& name : names->names()) writer.write(name, names->get(name));
  writer.append(std::as_bytes(std::span(ids)));
  writer.pass_on("conditioner.embedders.0.f8", f8);
  writer.finish();

  const Model full = model::load_model(temp.path() / "full.safetensors");
  const RemovalPlan plan = tiny_plan(full.tree);
  write_student(full, apply_plan(full.tree, plan), plan, temp.path() / "student");
  export_single_file(model::load_model(temp.path() / "student"), temp.path() / "student.safetensors", DType::kF16);
  const io::TensorSourcePtr written = io::open_safetensors(temp.path() / "student.safetensors");
  const io::TensorRef passed = written->get("conditioner.embedders.0.ids");
  EXPECT_EQ(passed.type.dtype, DType::kI64);
  EXPECT_EQ(std::memcmp(passed.bytes.data(), ids.data(), 16), 0);
  const io::RawTensor eight = written->raw("conditioner.embedders.0.f8");
  EXPECT_EQ(eight.dtype, "F8_E4M3");
  EXPECT_EQ(eight.shape, Shape({3}));
  ASSERT_EQ(eight.bytes.size(), eighths.size());
  EXPECT_EQ(std::memcmp(eight.bytes.data(), eighths.data(), eighths.size()), 0);
  EXPECT_EQ(written->get("model.diffusion_model.out.2.weight").type.dtype, DType::kF16);
}

TEST(WriteStudent, counts_the_rest_of_a_pipeline_before_it_writes) {
  const TempFolder temp;
  const fs::path pipeline = temp.path() / "pipeline";
  fs::create_directories(pipeline / "vae");
  fs::copy(golden("tiny-sdxl") / "unet", pipeline / "unet");
  write_text(pipeline / "vae/weights.bin", "");
  fs::resize_file(pipeline / "vae/weights.bin", uint64_t{1} << 42);  // sparse: more than any volume of a test machine has free
  const Model teacher = model::load_model(pipeline);
  EXPECT_EQ(bytes_beside_unet(teacher), uint64_t{1} << 42);
  const RemovalPlan plan = tiny_plan(teacher.tree);
  const BlockTree student = apply_plan(teacher.tree, plan);
  EXPECT_NE(error_of([&] { write_student(teacher, student, plan, temp.path() / "out"); }).find("not enough space"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(temp.path() / "out"));
}

TEST(Export, converts_the_element_type) {
  const TempFolder temp;
  const Model first = model::load_model(golden("tiny-sdxl") / "unet");
  export_diffusers(first, temp.path() / "bf16", DType::kBF16);
  const Model second = model::load_model(temp.path() / "bf16");
  for (const std::string& name : second.weights->names()) {
    ASSERT_EQ(second.weights->get(name).type.dtype, DType::kBF16);
    const auto want = io::convert(first.weights->get(name), DType::kBF16);
    EXPECT_EQ(std::memcmp(want.data(), second.weights->get(name).bytes.data(), want.size()), 0) << name;
  }
}

TEST(Export, refuses_a_weight_that_f16_cannot_hold) {
  const TempFolder temp;
  export_diffusers(model::load_model(golden("tiny-sdxl") / "unet"), temp.path() / "f32", DType::kF32);
  const fs::path file = temp.path() / "f32/diffusion_pytorch_model.safetensors";
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  const auto last_is = [&](float value) {
    bytes.seekp(-static_cast<int>(sizeof value), std::ios::end);
    bytes.write(reinterpret_cast<const char*>(&value), sizeof value);
    bytes.flush();
  };
  last_is(-65520);
  const std::string last = io::open_safetensors(file)->names().back();
  EXPECT_EQ(error_of([&] { export_diffusers(model::load_model(temp.path() / "f32"), temp.path() / "f16", DType::kF16); }),
            "tensor '" + last + "' holds -65520, f16 ends at 65504; export it as bf16 or f32");
  EXPECT_FALSE(fs::exists(temp.path() / "f16"));
  last_is(65519);
  export_diffusers(model::load_model(temp.path() / "f32"), temp.path() / "f16", DType::kF16);
  last_is(INFINITY);
  export_diffusers(model::load_model(temp.path() / "f32"), temp.path() / "again", DType::kF16);
}

TEST(Export, refuses_a_lone_config) {
  const TempFolder temp;
  const Model lone = model::load_model(testing::config_file("sdxl-base"));
  const std::string message =
      lone.path.string() + ": a config alone has no weights to export; give a model folder or a checkpoint";
  EXPECT_EQ(error_of([&] { export_diffusers(lone, temp.path() / "x", DType::kNone); }), message);
  EXPECT_EQ(error_of([&] { export_single_file(lone, temp.path() / "x", DType::kNone); }), message);
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

TEST(Diff, names_what_was_removed_and_what_was_changed) {
  const TempFolder temp;
  const Model teacher = model::load_model(golden("tiny-sdxl") / "unet");
  const RemovalPlan plan =
      plan_for(teacher.tree, {"mid_block.attentions.0", "mid_block.resnets.1", "up_blocks.0.attentions.1.transformer_blocks.3"});
  write_student(teacher, apply_plan(teacher.tree, plan), plan, temp.path() / "student");
  const ModelDiff diff = diff_models(teacher, model::load_model(temp.path() / "student"));
  EXPECT_FALSE(diff.same_structure);
  EXPECT_THAT(diff.only_a, UnorderedElementsAre("mid_block.attentions.0", "mid_block.resnets.1",
                                                "up_blocks.0.attentions.1.transformer_blocks.3"));
  EXPECT_THAT(diff.only_b, IsEmpty());
  EXPECT_THAT(diff.other_bytes, IsEmpty());
  EXPECT_EQ(diff.equal_tensors + diff.tensors_only_a.size(), teacher.weights->names().size());
}

TEST(Diff, compares_a_student_with_its_origins) {
  const TempFolder temp;
  const Model teacher = model::load_model(golden("tiny-sdxl") / "unet");
  const RemovalPlan plan = tiny_plan(teacher.tree);
  write_student(teacher, apply_plan(teacher.tree, plan), plan, temp.path() / "student");
  const OriginMap origins = read_origins(temp.path() / "student/origin.json");
  const Model student = model::load_model(temp.path() / "student");
  const ModelDiff diff = diff_models(teacher, student, &origins);
  std::vector<std::string> removed;
  for (const Removal& removal : plan.removals) removed.push_back(removal.path);
  EXPECT_THAT(diff.only_a, ::testing::UnorderedElementsAreArray(removed));
  EXPECT_THAT(diff.only_b, IsEmpty());
  EXPECT_THAT(diff.other_bytes, IsEmpty());
  EXPECT_EQ(diff.equal_tensors, student.weights->names().size());
  EXPECT_FALSE(diff_models(teacher, student).other_bytes.empty()) << "no survivor was renumbered: the test shows nothing";
}

TEST(Diff, sees_one_changed_bit) {
  const TempFolder temp;
  fs::copy(golden("tiny-sdxl") / "unet", temp.path() / "unet", fs::copy_options::recursive);
  const fs::path file = temp.path() / "unet/diffusion_pytorch_model.safetensors";
  fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekg(-1, std::ios::end);
  const char last = static_cast<char>(bytes.get());
  bytes.seekp(-1, std::ios::end);
  bytes.put(static_cast<char>(last ^ 1));
  bytes.close();
  const ModelDiff diff = diff_models(model::load_model(golden("tiny-sdxl") / "unet"), model::load_model(temp.path() / "unet"));
  EXPECT_TRUE(diff.same_structure);
  EXPECT_FALSE(diff.same());
  EXPECT_EQ(diff.other_bytes.size(), 1u);
}

TEST(Diff, of_plans_lists_rows) {
  const BlockTree teacher = testing::tree_of("sdxl-base");
  const RemovalPlan a = plan_for(teacher, {"mid_block", "up_blocks.0.attentions.0.transformer_blocks.1"});
  RemovalPlan b = plan_for(teacher, {"mid_block", "up_blocks.0.attentions.0.transformer_blocks.2"});
  b.removals[0].stage = 3;
  const PlanDiff diff = diff_plans(a, b);
  EXPECT_EQ(diff.only_a.size(), 1u);
  EXPECT_EQ(diff.only_b.size(), 1u);
  EXPECT_EQ(diff.changed, std::vector<std::string>{"mid_block: stage 0; 3"});
  EXPECT_TRUE(diff_plans(a, a).same());
}

}  // namespace
}  // namespace espalier::prune
