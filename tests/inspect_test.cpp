// What `inspect` says about published structures, and how a call list is explained.

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/inspect/explain.h"
#include "core/inspect/html.h"
#include "core/inspect/run_inputs.h"
#include "core/inspect/summary.h"
#include "core/io/memory_source.h"
#include "core/ir/builder.h"
#include "core/lower/lower.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/linear.h"

namespace espalier {
namespace {

const std::string kConfigs = ESPALIER_SOURCE_DIR "/tests/configs/";

model::Model config_model(const std::string& file) { return model::load_model(kConfigs + file); }

inspect::ModelSummary summary_of(const std::string& file, int64_t size = 0) {
  return inspect::summarise(config_model(file), {.height = size, .width = size});
}

void collect(const inspect::BlockSummary& parent, std::multiset<std::string>& paths) {
  for (const inspect::BlockSummary& block : parent.children) {
    paths.insert(block.path);
    collect(block, paths);
  }
}

TEST(RunInputs, a_timestep_outside_0_to_999_is_refused) {
  const model::Model tiny = config_model("sd15-unet.json");
  const auto message = [&](float timestep) -> std::string {
    io::MemoryTensorSource inputs("in");
    inputs.add_f32("sample", {2, 4, 8, 8}, std::vector<float>(size_t{2} * 4 * 8 * 8));
    inputs.add_f32("timestep", {2}, std::vector<float>{999, timestep});
    inputs.add_f32("encoder_hidden_states", {2, 1, 768}, std::vector<float>(size_t{2} * 768));
    try {
      (void)inspect::read_run_inputs(inputs, tiny.tree);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(0), "");
  EXPECT_EQ(message(0.5), "");
  EXPECT_EQ(message(1000), "[in] 'timestep' holds 1000 at 1, want 0 to 999");
  EXPECT_EQ(message(-1), "[in] 'timestep' holds -1 at 1, want 0 to 999");
  EXPECT_EQ(message(std::numeric_limits<float>::quiet_NaN()), "[in] 'timestep' holds nan at 1, want 0 to 999");
}

// Figures of torch.utils.flop_counter over diffusers' UNet, rounded to four digits.
TEST(Inspect, flops_are_those_of_the_flop_counter_over_diffusers) {
  EXPECT_NEAR(summary_of("sdxl-base-unet.json").root.flops, 6.761e12, 0.0006e12);
  EXPECT_NEAR(summary_of("sdxl-base-unet.json", 64).root.flops, 1.589e12, 0.0006e12);
  EXPECT_NEAR(summary_of("ssd-1b-unet.json").root.flops, 4.208e12, 0.0006e12);
}

TEST(Inspect, a_block_contains_what_is_below_it) {
  const inspect::ModelSummary summary = summary_of("sdxl-base-unet.json");
  const auto check = [](auto&& self, const inspect::BlockSummary& block) -> void {
    int64_t parameters = 0;
    double flops = 0;
    for (const inspect::BlockSummary& child : block.children) {
      parameters += child.parameters;
      flops += child.flops;
      self(self, child);
    }
    EXPECT_LE(parameters, block.parameters) << block.path;
    EXPECT_LE(flops, block.flops * (1 + 1e-12)) << block.path;
  };
  check(check, summary.root);
  int64_t parameters = 0;
  double flops = 0;
  for (const inspect::BlockSummary& child : summary.root.children) parameters += child.parameters, flops += child.flops;
  EXPECT_EQ(parameters, 2567463684);
  EXPECT_NEAR(flops, summary.root.flops, 1e-9 * flops) << "work that no top-level block owns";
}

TEST(Inspect, lists_every_block_path_of_the_tree_once) {
  const model::Model model = config_model("ssd-1b-unet.json");
  std::multiset<std::string> listed;
  collect(inspect::summarise(model).root, listed);
  for (const model::BlockRef& ref : model::block_refs(model.tree)) EXPECT_EQ(listed.count(ref.path), 1u) << ref.path;
  EXPECT_EQ(listed.count("conv_in"), 1u);
}

TEST(Inspect, json_has_the_keys_that_programs_read) {
  const nlohmann::json json = nlohmann::json::parse(inspect::to_json(summary_of("vega-unet.json")));
  EXPECT_EQ(json.at("parameters"), 745225604);
  EXPECT_EQ(json.at("tensors"), 564);
  EXPECT_EQ(json.at("resnets"), 16);
  EXPECT_EQ(json.at("transformer_blocks"), 15);
  EXPECT_GT(json.at("flops").get<double>(), 1e12);
  for (const char* loader : {"diffusers", "comfyui", "stable-diffusion.cpp"})
    EXPECT_TRUE(json.at("loaders").contains(loader)) << loader;
  for (const nlohmann::json& block : json.at("blocks"))
    for (const char* key : {"path", "kind", "parameters", "flops"}) EXPECT_TRUE(block.contains(key)) << block << key;
}

TEST(Inspect, flops_are_null_without_a_size_and_not_zero) {
  model::Model model = config_model("tiny-sdxl-unet.json");
  model.config.sample_size = model.tree.config.sample_size = 0;
  EXPECT_TRUE(nlohmann::json::parse(inspect::to_json(inspect::summarise(model))).at("flops").is_null());
  EXPECT_NE(inspect::to_text(inspect::summarise(model), "m").find("--size H W"), std::string::npos);
}

TEST(Inspect, equal_neighbours_share_a_line_unless_expanded) {
  const inspect::ModelSummary summary = summary_of("sdxl-base-unet.json");
  const std::string text = inspect::to_text(summary, "m"), all = inspect::to_text(summary, "m", {.expand = true});
  EXPECT_NE(text.find("transformer_blocks.0-9"), std::string::npos);
  EXPECT_EQ(text.find("attn1"), std::string::npos);
  EXPECT_EQ(all.find("transformer_blocks.0-9"), std::string::npos);
  EXPECT_NE(all.find("attn1"), std::string::npos);
}

TEST(Inspect, the_page_needs_nothing_else_and_escapes_what_comes_from_files) {
  const std::string page = inspect::to_html(summary_of("tiny-sdxl-unet.json"), "</script><b>&name");
  for (const char* outside : {"http://", "https://", "src=", "@import", "url("})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  EXPECT_EQ(page.find("</script><b>"), std::string::npos);
  EXPECT_NE(page.find("<title>&lt;/script>&lt;b>&amp;name</title>"), std::string::npos);
  EXPECT_EQ(page.find("@DATA@"), std::string::npos);
}

/// Takes linear on its second kernel and nothing else.
class PickyBackend : public lower::Backend {
 public:
  std::string name() const override { return "picky"; }
  std::string describe() const override { return "picky"; }
  bool host_accessible() const override { return true; }
  lower::KernelChoice support(const OpCall& call, const std::string&, const std::vector<bool>&) override {
    if (*call.op->name == "linear")
      return {.accepted = true, .kernel = "slow-linear", .refusals = {{"fast-linear", "width 4 is no multiple of 16"}}};
    return {.refusals = {{"adder", "no adder today"}}};
  }
  std::unique_ptr<lower::DeviceMemory> allocate(uint64_t) override { return nullptr; }
  std::shared_ptr<lower::DeviceParam> make_param(const lower::HostParam&) override { return nullptr; }
  std::unique_ptr<lower::Executable> compile(const lower::CallList&, size_t, size_t, bool) override { return nullptr; }
};

lower::CallList small_list(PickyBackend& backend) {
  auto graph = std::make_shared<Graph>();
  Builder b(*graph);
  Value x = b.input("x", f32({2, 4}));
  const Value weight = b.param("w", f32({4, 4}));
  for (int i = 0; i < 3; ++i) {
    const Scope scope(b, "block." + std::to_string(i));
    x = ops::linear(b, x, weight);
  }
  const Scope scope(b, "tail");
  b.output("y", ops::add(b, x, x));
  return lower::lower(graph, {.backend = &backend});
}

TEST(Explain, groups_equal_calls_and_says_who_refused_and_why) {
  PickyBackend backend;
  const std::string text = inspect::explain(small_list(backend));
  EXPECT_NE(text.find("    3  slow-linear    192  100.0%"), std::string::npos) << text;
  EXPECT_NE(text.find("fast-linear refused: width 4 is no multiple of 16"), std::string::npos) << text;
  EXPECT_NE(text.find("reference"), std::string::npos) << text;
  EXPECT_NE(text.find("adder refused: no adder today"), std::string::npos) << text;
  EXPECT_NE(text.find("4 calls, 192 flops"), std::string::npos) << text;
}

TEST(Explain, memory_line_names_the_fullest_call) {
  PickyBackend backend;
  const lower::CallList list = small_list(backend);
  const std::string line = inspect::memory_line(list);
  EXPECT_NE(line.find("fullest at block."), std::string::npos) << line;
}

}  // namespace
}  // namespace espalier
