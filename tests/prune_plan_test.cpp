// plan.toml as text, and every way to be refused.

#include <gtest/gtest.h>

#include "core/prune/skip_wiring.h"
#include "tests/support/prune_cases.h"

namespace espalier::prune {
namespace {

using testing::error_of;
using testing::tree_of;

const std::string kHash = "sha256:" + std::string(64, 'a');

/// A plan file for SDXL: the head, then `rows` as given.
std::string plan_file(const std::string& rows, const std::string& teacher = "sdxl-base") {
  return "format = 1\nteacher = \"" + model::structure_hash(tree_of(teacher).config) + "\"\n" + rows;
}
std::string row(const std::string& path) { return "[[remove]]\npath = \"" + path + "\"\n"; }
std::string rows(const std::vector<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) text += row(path);
  return text;
}

TEST(RemovalPlan, that_was_written_reads_and_writes_the_same) {
  RemovalPlan plan{kHash,
                   {{"mid_block", 2, "why \"so\" \\ and\nthen \x01 ünïcode", 0, 0}, {"down_blocks.0", 0, "", 0, 0}},
                   {"note one", "", "x # y"}};
  const std::string text = write_plan(plan);
  const RemovalPlan again = parse_plan(text, "plan.toml");
  EXPECT_EQ(write_plan(again), text);
  ASSERT_EQ(again.removals.size(), 2u);
  EXPECT_EQ(again.removals[0].reason, plan.removals[0].reason);
  EXPECT_EQ(again.removals[0].stage, 2);
  EXPECT_EQ(again.notes, plan.notes);
}

TEST(RemovalPlan, rows_need_a_path_only) {
  const RemovalPlan plan = parse_plan("format = 1\nteacher = \"" + kHash + "\"\n[[remove]]\npath = \"mid_block\"\n", "p");
  ASSERT_EQ(plan.removals.size(), 1u);
  EXPECT_EQ(plan.removals[0].stage, 0);
  EXPECT_EQ(plan.removals[0].line, 4);
}

struct Refusal {
  std::string name, text, message, teacher = "sdxl-base";
};

/// Reading and applying one plan file.
std::string refusal_of(const Refusal& refusal) {
  return error_of([&] { apply_plan(tree_of(refusal.teacher), parse_plan(refusal.text, "plan.toml"), "plan.toml"); });
}

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, with_the_exact_message) { EXPECT_EQ(refusal_of(GetParam()), GetParam().message); }

const std::vector<Refusal> kText = {
    {"empty_file", "", "plan.toml:1:1: removal plan has no 'format'\nplan.toml:1:1: removal plan has no 'teacher'"},
    {"other_format", "format = 2\nteacher = \"" + kHash + "\"\n",
     "plan.toml:1:10: format 2 is not known; this espalier reads format 1"},
    {"hash_of_other_form", "format = 1\nteacher = \"md5:12\"\n",
     "plan.toml:2:11: teacher must be \"sha256:\" and 64 hex digits: what `inspect --json` prints as \"structure\""},
    {"row_without_path", plan_file("[[remove]]\nstage = 1\n"), "plan.toml:3:1: [[remove]] row 1 has no 'path'"},
    {"empty_path", plan_file("[[remove]]\npath = \"\"\n"), "plan.toml:4:8: path is empty; name a block such as \"mid_block\""},
    {"negative_stage", plan_file("[[remove]]\npath = \"mid_block\"\nstage = -1\n"), "plan.toml:5:9: stage must be 0 to 1000000"},
};

const std::vector<Refusal> kStructure = {
    {"unknown_path", plan_file(row("down_blocks.2.atentions.0")),
     "plan.toml:4:8: the teacher has no block 'down_blocks.2.atentions.0'; did you mean 'down_blocks.2.attentions.0', "
     "'down_blocks.1.attentions.0' or 'down_blocks.2.attentions.1'?"},
    {"index_beyond_the_last", plan_file(row("mid_block.attentions.0.transformer_blocks.10")),
     "plan.toml:4:8: the teacher has no block 'mid_block.attentions.0.transformer_blocks.10'; did you mean "
     "'mid_block.attentions.0.transformer_blocks.0', 'mid_block.attentions.0.transformer_blocks.1' or "
     "'mid_block.attentions.0.transformer_blocks.2'?"},
    {"index_with_leading_zero", plan_file(row("up_blocks.00")),
     "plan.toml:4:8: the teacher has no block 'up_blocks.00'; did you mean 'up_blocks.0', 'up_blocks.1' or 'up_blocks.2'?"},
    {"root_module", plan_file(row("conv_in")), "plan.toml:4:8: the teacher has no block 'conv_in'"},
    {"part_of_a_block", plan_file(row("mid_block.attentions.0.transformer_blocks.4.attn1")),
     "plan.toml:4:8: 'mid_block.attentions.0.transformer_blocks.4.attn1' is a part of a transformer block; remove the block "
     "mid_block.attentions.0.transformer_blocks.4"},
    {"twice", plan_file(rows({"mid_block", "mid_block"})),
     "plan.toml:6:8: mid_block is removed twice; line 4 already removes it"},
    {"inside_a_removed_block", plan_file(rows({"mid_block.resnets.1", "mid_block"})),
     "plan.toml:4:8: mid_block.resnets.1 lies inside mid_block, which the plan removes whole; drop this row"},
    {"all_faults_at_once", plan_file(rows({"nowhere", "mid_block", "mid_block", "up_blocks.7"})),
     "plan.toml:4:8: the teacher has no block 'nowhere'\n"
     "plan.toml:8:8: mid_block is removed twice; line 6 already removes it\n"
     "plan.toml:10:8: the teacher has no block 'up_blocks.7'; did you mean 'up_blocks.0', 'up_blocks.1' or 'up_blocks.2'?"},
    {"resnet_without_its_attention", plan_file(row("down_blocks.2.resnets.1")),
     "plan.toml:4:8: down_blocks.2.resnets.1 can only go together with the attention module after it; add "
     "down_blocks.2.attentions.1"},
    {"one_attention_of_a_stage", plan_file(row("down_blocks.2.attentions.0")),
     "plan.toml:4:8: no config has attention in some layers of a stage only; to keep the resnets add down_blocks.2.attentions.1, "
     "or add "
     "the resnet of down_blocks.2.attentions.0"},
    {"resnet_that_changes_width", plan_file(row("up_blocks.2.resnets.0")),
     "plan.toml:4:8: up_blocks.2.resnets.0 changes the width from 640 to 320 and cannot be removed"},
    {"down_pair_without_its_mirror", plan_file(rows({"down_blocks.2.resnets.1", "down_blocks.2.attentions.1"})),
     "plan.toml:4:8: down_blocks.2.resnets.1 leaves 1 down and 3 up layers at this size, a config has one more up than down; add "
     "up_blocks.0.resnets.1, up_blocks.0.attentions.1"},
    {"up_layer_without_its_mirror", plan_file(row("up_blocks.2.resnets.1")),
     "plan.toml:4:8: up_blocks.2.resnets.1 leaves 2 down and 2 up layers at this size, a config has one more up than down; add "
     "down_blocks.0.resnets.1"},
    {"up_layer_that_reads_a_kept_skip", plan_file(rows({"down_blocks.0.resnets.1", "up_blocks.2.resnets.2"})),
     "plan.toml:6:8: with up_blocks.2.resnets.2 removed, the layers left in up_blocks.2 would read other skips than in the "
     "teacher; remove "
     "up_blocks.2.resnets.1 instead"},
    {"every_layer_of_a_stage", plan_file(rows({"down_blocks.0.resnets.0", "down_blocks.0.resnets.1"})),
     "plan.toml:4:8: down_blocks.0 would have no resnet left"},
    {"every_block_of_a_module",
     plan_file(rows({"up_blocks.1.attentions.0.transformer_blocks.0", "up_blocks.1.attentions.0.transformer_blocks.1"})),
     "plan.toml:4:8: up_blocks.1.attentions.0 would have no transformer block left; keep one, or remove the module itself"},
    {"mid_resnet_alone", plan_file(row("mid_block.resnets.1")),
     "plan.toml:4:8: mid_block.resnets.1 and the attention module can only go together; add mid_block.attentions.0"},
    {"mid_attention_alone", plan_file(row("mid_block.attentions.0")),
     "plan.toml:4:8: mid_block.attentions.0 and the second resnet can only go together; add mid_block.resnets.1"},
    {"first_mid_resnet", plan_file(row("mid_block.resnets.0")),
     "plan.toml:4:8: no config has a mid block without its first resnet; remove mid_block"},
    {"mid_depth_differs",
     plan_file(rows({"down_blocks.2.attentions.0.transformer_blocks.3", "down_blocks.2.attentions.0.transformer_blocks.4"})),
     "plan.toml:4:8: a config gives the mid block the depth of down_blocks.2.attentions.0: 10 and 8 blocks would be left; add "
     "mid_block.attentions.0.transformer_blocks.8, mid_block.attentions.0.transformer_blocks.9"},
    {"upsampler", plan_file(row("up_blocks.0.upsamplers.0")),
     "plan.toml:4:8: up_blocks.0.upsamplers.0 can only go together with its stage; remove up_blocks.0"},
    {"stage_that_changes_width", plan_file(row("down_blocks.2")),
     "plan.toml:4:8: down_blocks.2 cannot be removed: down_blocks.1 is 640 wide, the hidden state that leaves up_blocks.0 is "
     "1280"},
    {"all_stages", plan_file(row("up_blocks.2")),
     "plan.toml:4:8: the outermost stage cannot be removed; at least one down and one up stage must stay"},
    {"stage_without_the_rest", plan_file(row("down_blocks.3"), "sd15"),
     "plan.toml:4:8: down_blocks.3 can only go with the rest of the innermost stage; add up_blocks.0, mid_block, "
     "down_blocks.2.downsamplers.0",
     "sd15"},
    {"mirror_stage_without_the_rest", plan_file(rows({"up_blocks.0", "mid_block"}), "sd15"),
     "plan.toml:4:8: up_blocks.0 can only go with the rest of the innermost stage; add down_blocks.3, "
     "down_blocks.2.downsamplers.0",
     "sd15"},
};

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.text; }

std::string case_name(const ::testing::TestParamInfo<Refusal>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Text, Refused, ::testing::ValuesIn(kText), case_name);
INSTANTIATE_TEST_SUITE_P(Structure, Refused, ::testing::ValuesIn(kStructure), case_name);

TEST(RemovalPlan, refuses_unknown_keys_with_the_nearest) {
  const std::string message =
      error_of([] { parse_plan("format = 1\nteacher = \"" + kHash + "\"\n[[remove]]\npaht = \"x\"\n", "p.toml"); });
  EXPECT_NE(message.find("p.toml:4:1"), std::string::npos) << message;
  EXPECT_NE(message.find("did you mean 'path'"), std::string::npos) << message;
}

TEST(RemovalPlan, refuses_syntax_with_its_place) {
  EXPECT_EQ(error_of([] { parse_plan("format = = 1\n", "p.toml"); }).rfind("p.toml:1:", 0), 0u);
}

TEST(RemovalPlan, refuses_another_teacher_with_both_hashes) {
  const std::string here = model::structure_hash(tree_of("sd15").config),
                    there = model::structure_hash(tree_of("sdxl-base").config);
  EXPECT_EQ(refusal_of({"", plan_file(row("mid_block")), "", "sd15"}),
            "plan.toml: the plan is for teacher " + there + ", this model's structure is " + here +
                "; prune the model that the plan was made for, or make a new plan with --use");
}

// The rows that a refusal names must be the ones that complete the plan.
TEST(RemovalPlan, is_accepted_once_the_named_rows_are_added) {
  size_t completed = 0;
  for (const Refusal& refusal : kStructure) {
    const size_t add = refusal.message.rfind("; add ");
    if (add == std::string::npos || refusal.name == "one_attention_of_a_stage") continue;
    std::string text = refusal.text, message = refusal.message;
    for (int round = 0; round < 3 && message.rfind("; add ") != std::string::npos; ++round) {
      std::string list = message.substr(message.rfind("; add ") + 6);
      for (size_t begin = 0; begin < list.size();) {
        const size_t end = std::min(list.find(", ", begin), list.size());
        text += row(list.substr(begin, end - begin));
        begin = end + 2;
      }
      message = refusal_of({"", text, "", refusal.teacher});
    }
    EXPECT_EQ(message, "") << refusal.name;
    ++completed;
  }
  EXPECT_GE(completed, 7u);
}

TEST(SkipWiring, allows_only_slots_whose_value_stays) {
  EXPECT_TRUE(wiring_agrees(2, {}, {}));
  EXPECT_TRUE(wiring_agrees(2, {1}, {1}));  // BK-SDM: the second down layer and the middle up layer
  EXPECT_TRUE(wiring_agrees(2, {1}, {0}));  // the up layer that read the removed layer itself
  EXPECT_FALSE(wiring_agrees(2, {1}, {2}));
  EXPECT_TRUE(wiring_agrees(2, {0}, {2}));
  EXPECT_FALSE(wiring_agrees(2, {0}, {0}));
  EXPECT_FALSE(wiring_agrees(2, {0, 1}, {0}));
  EXPECT_TRUE(wiring_agrees(4, {1, 2}, {2, 3}));
  EXPECT_EQ(supersets({1}, {0, 1, 2}, 2), (std::vector<LayerSet>{{0, 1}, {1, 2}}));
}

}  // namespace
}  // namespace espalier::prune
