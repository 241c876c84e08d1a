#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "core/prune/certificate.h"
#include "core/prune/strategy.h"
#include "tests/support/prune_cases.h"

namespace espalier::prune {
namespace {

using model::BlockTree;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::parameters;
using testing::plan_for;
using testing::tree_of;
using testing::tree_text;

std::vector<std::string> blocks(const std::string& module, int from, int to) {
  std::vector<std::string> paths;
  for (int i = from; i < to; ++i) paths.push_back(module + ".transformer_blocks." + std::to_string(i));
  return paths;
}

std::vector<std::string> joined(std::vector<std::vector<std::string>> lists) {
  std::vector<std::string> all;
  for (auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

const std::vector<std::string> kMidTail = {"mid_block.attentions.0", "mid_block.resnets.1"};

/// The pairs that BK-SDM drops from SD 1.x, by stage of the down side; -1: no attention there.
std::vector<std::string> bk_pairs(size_t down_stages) {
  std::vector<std::string> paths;
  for (size_t i = 0; i < down_stages; ++i) {
    const std::string down = "down_blocks." + std::to_string(i), up = "up_blocks." + std::to_string(3 - i);
    paths.insert(paths.end(), {down + ".resnets.1", up + ".resnets.1"});
    if (i < 3) paths.insert(paths.end(), {down + ".attentions.1", up + ".attentions.1"});
  }
  return paths;
}

TEST(Apply, renumbers_survivors_and_keeps_their_origins) {
  const BlockTree teacher = tree_of("sdxl-base");
  const BlockTree student =
      apply_plan(teacher, plan_for(teacher, joined({kMidTail, blocks("down_blocks.2.attentions.0", 3, 6)})));
  const auto& kept = student.down[2].layers[0].attention->blocks;
  ASSERT_EQ(kept.size(), 7u);
  EXPECT_EQ(kept[2].origin, "down_blocks.2.attentions.0.transformer_blocks.2");
  EXPECT_EQ(kept[3].origin, "down_blocks.2.attentions.0.transformer_blocks.6");
  EXPECT_EQ(student.config.mid_block_type, "UNetMidBlock2D");
  for (const model::TensorSpec& spec : model::tensor_specs(student))
    if (spec.name == "down_blocks.2.attentions.0.transformer_blocks.3.attn1.to_q.weight") {
      EXPECT_EQ(spec.origin, "down_blocks.2.attentions.0.transformer_blocks.6.attn1.to_q.weight");
      return;
    }
  FAIL() << "the renumbered tensor is missing";
}

TEST(Apply, empty_plan_gives_the_teacher) {
  const BlockTree teacher = tree_of("sdxl-base");
  EXPECT_EQ(tree_text(apply_plan(teacher, plan_for(teacher, {}))), tree_text(teacher));
}

TEST(Apply, pair_removal_drops_the_skip_of_the_up_pair) {
  const BlockTree teacher = tree_of("sd15");
  const BlockTree student = apply_plan(teacher, plan_for(teacher, bk_pairs(4)));
  EXPECT_EQ(tree_text(student, false), tree_text(tree_of("bk-sdm-base"), false));
  EXPECT_EQ(student.up[1].layers[1].resnet.origin, "up_blocks.1.resnets.2");
  EXPECT_EQ(student.up[1].layers[1].resnet.skip_channels, 640);
}

TEST(Apply, innermost_stage_goes_with_mid_mirror_and_downsampler) {
  const BlockTree teacher = tree_of("sd15");
  auto rows = bk_pairs(3);
  rows.insert(rows.end(), {"down_blocks.3", "up_blocks.0", "mid_block", "down_blocks.2.downsamplers.0"});
  const BlockTree student = apply_plan(teacher, plan_for(teacher, rows));
  EXPECT_EQ(tree_text(student, false), tree_text(tree_of("bk-sdm-tiny"), false));
  EXPECT_EQ(student.up[0].origin, "up_blocks.1");
  EXPECT_EQ(student.down[2].sampler_origin, "");
}

TEST(Apply, attention_of_a_whole_stage_can_go) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan plan = plan_for(teacher, {"down_blocks.1.attentions.0", "down_blocks.1.attentions.1"});
  const BlockTree student = apply_plan(teacher, plan);
  EXPECT_EQ(student.config.down_block_types[1], "DownBlock2D");
  EXPECT_EQ(student.config.up_block_types[1], "CrossAttnUpBlock2D");
  EXPECT_TRUE(certify(teacher, plan, student).holds);
}

TEST(Apply, uneven_depths_give_a_config_that_says_the_same) {
  const BlockTree teacher = tree_of("sdxl-base");
  const BlockTree student = apply_plan(teacher, plan_for(teacher, joined({kMidTail, blocks("down_blocks.2.attentions.1", 4, 10),
                                                                          blocks("up_blocks.1.attentions.2", 1, 2)})));
  const BlockTree again = model::build_tree(model::parse_config(model::write_config(student.config), "written"));
  EXPECT_EQ(tree_text(again, false), tree_text(student, false));
}

// What is accepted must be right: for any choice of units, apply_plan refuses or the certificate holds.
TEST(Apply, accepts_no_plan_whose_certificate_fails) {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same cases every time
  size_t accepted = 0, refused = 0;
  for (const char* name : {"sd15", "koala-1b", "ssd-1b"}) {
    const BlockTree teacher = tree_of(name);
    std::vector<Unit> units = list_units(teacher);
    units.erase(std::remove_if(units.begin(), units.end(), [](const Unit& u) { return !u.removable; }), units.end());
    for (int trial = 0; trial < 60; ++trial) {
      std::set<std::string> rows;
      const size_t count = 1 + random() % 3;
      for (size_t i = 0; i < count; ++i) {
        const Unit& unit = units[random() % units.size()];
        rows.insert(unit.rows.begin(), unit.rows.end());
        if (unit.kind != UnitKind::kPair && unit.kind != UnitKind::kResnet) continue;
        // A layer goes with some layer of the mirror stage, rightly chosen or not.
        for (const Unit& other : units)
          if (other.kind != UnitKind::kTransformerBlock && other.module != unit.module && other.in_shape[1] == unit.in_shape[1] &&
              random() % 2 == 0)
            rows.insert(other.rows.begin(), other.rows.end());
      }
      const RemovalPlan plan = plan_for(teacher, {rows.begin(), rows.end()});
      BlockTree student;
      if (!testing::error_of([&] { student = apply_plan(teacher, plan); }).empty()) {
        ++refused;
        continue;
      }
      ++accepted;
      const Certificate certificate = certify(teacher, plan, student);
      ASSERT_TRUE(certificate.holds) << name << "\n" << write_plan(plan) << certificate.difference;
      ASSERT_EQ(tree_text(invert_plan(student, teacher, plan)), tree_text(teacher)) << write_plan(plan);
    }
  }
  EXPECT_GT(accepted, 25u);
  EXPECT_GT(refused, 25u);
}

struct PlanCase {
  std::string name, teacher;
  std::vector<std::string> rows;
};

std::vector<PlanCase> plan_cases() {
  const auto tiny_rows = joined({bk_pairs(3), {"down_blocks.3", "up_blocks.0", "mid_block", "down_blocks.2.downsamplers.0"}});
  return {{"nothing", "sdxl-base", {}},
          {"mid_tail", "sdxl-base", kMidTail},
          {"mid_block", "sdxl-base", {"mid_block"}},
          {"blocks_everywhere", "sdxl-base",
           joined({blocks("down_blocks.2.attentions.0", 1, 9), blocks("mid_block.attentions.0", 0, 8),
                   blocks("up_blocks.0.attentions.1", 5, 6)})},
          {"first_layer_of_stage_0", "sdxl-base", {"down_blocks.0.resnets.0", "up_blocks.2.resnets.2"}},
          {"pairs", "sd15", bk_pairs(4)},
          {"pairs_and_mid", "sd21", joined({bk_pairs(4), {"mid_block"}})},
          {"innermost_stage", "sd15", tiny_rows},
          {"stage_attention", "sd15", {"up_blocks.2.attentions.0", "up_blocks.2.attentions.1", "up_blocks.2.attentions.2"}},
          {"pair_of_a_student",
           "ssd-1b",
           {"down_blocks.2.resnets.1", "down_blocks.2.attentions.1", "up_blocks.0.resnets.1", "up_blocks.0.attentions.1"}}};
}

class Plans : public ::testing::TestWithParam<PlanCase> {};

TEST_P(Plans, certificate_holds) {
  const BlockTree teacher = tree_of(GetParam().teacher);
  const RemovalPlan plan = plan_for(teacher, GetParam().rows);
  const Certificate certificate = certify(teacher, plan, apply_plan(teacher, plan));
  EXPECT_TRUE(certificate.holds) << certificate.difference;
}

TEST_P(Plans, invert_gives_the_teacher) {
  const BlockTree teacher = tree_of(GetParam().teacher);
  const RemovalPlan plan = plan_for(teacher, GetParam().rows);
  EXPECT_EQ(tree_text(invert_plan(apply_plan(teacher, plan), teacher, plan)), tree_text(teacher));
}

TEST_P(Plans, student_tree_is_that_of_its_written_config) {
  const BlockTree teacher = tree_of(GetParam().teacher);
  const BlockTree student = apply_plan(teacher, plan_for(teacher, GetParam().rows));
  const BlockTree again = model::build_tree(model::parse_config(model::write_config(student.config), "written"));
  EXPECT_EQ(tree_text(again, false), tree_text(student, false));
}

INSTANTIATE_TEST_SUITE_P(Cases, Plans, ::testing::ValuesIn(plan_cases()), [](const auto& info) { return info.param.name; });

TEST(Certificate, fails_when_a_block_has_another_origin) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan plan = plan_for(teacher, joined({kMidTail, blocks("up_blocks.0.attentions.0", 4, 10)}));
  BlockTree student = apply_plan(teacher, plan);
  std::swap(student.up[0].layers[0].attention->blocks[1].origin, student.up[0].layers[0].attention->blocks[2].origin);
  const Certificate certificate = certify(teacher, plan, student);
  EXPECT_FALSE(certificate.holds);
  EXPECT_THAT(certificate.difference, HasSubstr("up_blocks.0.attentions.0.transformer_blocks.1"));
}

TEST(Certificate, fails_when_the_student_removed_more_than_the_plan) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan more = plan_for(teacher, joined({kMidTail, blocks("up_blocks.0.attentions.0", 4, 10)}));
  RemovalPlan less = more;
  less.removals.pop_back();
  EXPECT_FALSE(certify(teacher, less, apply_plan(teacher, more)).holds);
  EXPECT_FALSE(certify(teacher, more, apply_plan(teacher, less)).holds);
}

TEST(Certificate, fails_when_an_up_layer_reads_another_skip) {
  const BlockTree teacher = tree_of("sd15");
  const RemovalPlan plan = plan_for(teacher, bk_pairs(4));
  const BlockTree student = apply_plan(teacher, plan);
  RemovalPlan other = plan;  // drops the last up layer, which reads the downsampler's skip, instead of the middle one
  for (Removal& row : other.removals)
    if (row.path == "up_blocks.1.resnets.1" || row.path == "up_blocks.1.attentions.1") row.path.back() = '2';
  EXPECT_FALSE(certify(teacher, other, student).holds);
}

TEST(Certificate, names_a_region_whose_ends_differ) {
  const BlockTree teacher = tree_of("sdxl-base");
  RemovalPlan plan = plan_for(teacher, {"up_blocks.1.resnets.0"});
  const Certificate certificate = certify(teacher, plan, teacher);
  EXPECT_FALSE(certificate.holds);
  EXPECT_THAT(certificate.difference, HasSubstr("[up_blocks.1.resnets.0] enters as"));
}

TEST(Compose, equals_applying_one_after_the_other) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan first =
      plan_for(teacher, joined({kMidTail, blocks("down_blocks.2.attentions.0", 2, 5), blocks("up_blocks.0.attentions.0", 0, 3)}));
  const BlockTree middle = apply_plan(teacher, first);
  const RemovalPlan second = plan_for(
      middle, joined({blocks("down_blocks.2.attentions.0", 2, 4), {"down_blocks.0.resnets.1", "up_blocks.2.resnets.1"}}));
  const RemovalPlan both = compose(teacher, first, second);
  EXPECT_EQ(tree_text(apply_plan(teacher, both)), tree_text(apply_plan(middle, second)));
  EXPECT_TRUE(certify(teacher, both, apply_plan(teacher, both)).holds);
  const auto row = std::find_if(both.removals.begin(), both.removals.end(), [](const Removal& r) { return r.stage == 1; });
  ASSERT_NE(row, both.removals.end());
  EXPECT_EQ(row->path, "down_blocks.0.resnets.1");
  EXPECT_EQ(both.removals.back().path, "up_blocks.2.resnets.1");
}

TEST(Compose, maps_paths_through_the_origins) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan first = plan_for(teacher, joined({kMidTail, blocks("up_blocks.0.attentions.2", 0, 4)}));
  const BlockTree middle = apply_plan(teacher, first);
  const RemovalPlan both = compose(teacher, first, plan_for(middle, blocks("up_blocks.0.attentions.2", 0, 1)));
  EXPECT_EQ(both.removals.back().path, "up_blocks.0.attentions.2.transformer_blocks.4");
}

TEST(Compose, drops_rows_inside_a_block_that_goes_later) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan first = plan_for(teacher, kMidTail);
  const RemovalPlan both = compose(teacher, first, plan_for(apply_plan(teacher, first), {"mid_block"}));
  ASSERT_EQ(both.removals.size(), 1u);
  EXPECT_EQ(both.removals[0].path, "mid_block");
  EXPECT_EQ(both.removals[0].stage, 1);
}

TEST(Compose, is_associative) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan a = plan_for(teacher, kMidTail);
  const BlockTree after_a = apply_plan(teacher, a);
  const RemovalPlan b = plan_for(after_a, blocks("up_blocks.1.attentions.0", 0, 1));
  const BlockTree after_b = apply_plan(after_a, b);
  const RemovalPlan c = plan_for(after_b, blocks("up_blocks.0.attentions.0", 2, 5));
  EXPECT_EQ(write_plan(compose(teacher, compose(teacher, a, b), c)), write_plan(compose(teacher, a, compose(after_a, b, c))));
}

TEST(Invert, refuses_a_student_of_another_plan) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan plan = plan_for(teacher, kMidTail);
  EXPECT_EQ(testing::error_of([&] { invert_plan(teacher, teacher, plan); }),
            "[mid_block.resnets.1] the student has this block although the plan removes it\n"
            "[mid_block.attentions.0] the student has this block although the plan removes it");
  const BlockTree less = apply_plan(teacher, plan_for(teacher, {"mid_block"}));
  EXPECT_EQ(testing::error_of([&] { invert_plan(less, teacher, plan); }),
            "[mid_block] the student lacks this block and no row of the plan removes it");
}

const Unit& find(const std::vector<Unit>& units, const std::string& path, UnitKind kind) {
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.path == path && u.kind == kind; });
  if (unit == units.end()) throw Error("no unit " + path);
  return *unit;
}

TEST(Units, of_sdxl_have_the_published_prices) {
  const std::vector<Unit> units = list_units(tree_of("sdxl-base"));
  const auto price = [&](const char* path, UnitKind kind) { return find(units, path, kind).parameters; };
  EXPECT_EQ(price("down_blocks.2.attentions.0.transformer_blocks.7", UnitKind::kTransformerBlock), 34'755'840);
  EXPECT_EQ(price("up_blocks.1.attentions.2.transformer_blocks.1", UnitKind::kTransformerBlock), 10'005'120);
  EXPECT_EQ(price("down_blocks.0.resnets.1", UnitKind::kResnet), 2'255'040);
  EXPECT_EQ(price("down_blocks.2.resnets.1", UnitKind::kPair), 31'138'560 + 350'840'320);
  EXPECT_EQ(price("mid_block", UnitKind::kMidBlock), 413'117'440);
  EXPECT_EQ(price("mid_block.attentions.0", UnitKind::kMidTail), 381'978'880);
  EXPECT_EQ(price("up_blocks.0.upsamplers.0", UnitKind::kModule), 14'746'880);
}

TEST(Units, flops_of_a_block_follow_its_shapes) {
  const std::vector<Unit> units = list_units(tree_of("sdxl-base"));
  const Unit& block = find(units, "mid_block.attentions.0.transformer_blocks.0", UnitKind::kTransformerBlock);
  // 1024 tokens of 1280 channels: q, k, v, out of attn1; q, out of attn2; k, v of 77 tokens of 2048; both attentions; geglu.
  const double n = 32 * 32, c = 1280, t = 77, e = 2048;
  const double macs = 6 * n * c * c + 2 * t * e * c + 2 * n * n * c + 2 * n * t * c + n * c * 8 * c + n * 4 * c * c;
  EXPECT_DOUBLE_EQ(block.flops, 2 * macs);
  EXPECT_THAT(block.in_shape, ElementsAre(1, 32, 32, 1280));
  EXPECT_GT(block.bytes, 34'755'840 * 4.0);
}

TEST(Units, know_their_skip_partners) {
  const std::vector<Unit> units = list_units(tree_of("sdxl-base"));
  EXPECT_THAT(find(units, "down_blocks.2.resnets.1", UnitKind::kPair).skip_partners, ElementsAre("up_blocks.0.resnets.0"));
  EXPECT_THAT(find(units, "up_blocks.0.resnets.1", UnitKind::kPair).skip_partners, ElementsAre("down_blocks.2.resnets.0"));
  EXPECT_THAT(find(units, "up_blocks.0.resnets.2", UnitKind::kPair).skip_partners, ElementsAre("down_blocks.1.downsamplers.0"));
  EXPECT_THAT(find(units, "up_blocks.2.resnets.2", UnitKind::kResnet).skip_partners, ElementsAre("conv_in"));
}

TEST(Units, say_why_they_cannot_go) {
  const std::vector<Unit> units = list_units(tree_of("sdxl-base"));
  const auto why = [&](const char* path, UnitKind kind) { return find(units, path, kind).why_not; };
  EXPECT_EQ(why("down_blocks.1.resnets.0", UnitKind::kPair), "changes the width from 320 to 640");
  EXPECT_EQ(why("down_blocks.2.resnets.1", UnitKind::kResnet), "goes together with the attention module after it");
  EXPECT_EQ(why("mid_block.resnets.0", UnitKind::kResnet), "a mid block keeps its first resnet");
  EXPECT_EQ(why("down_blocks.2", UnitKind::kStage), "changes the width from 640 to 1280");
  EXPECT_EQ(why("up_blocks.0.attentions.1", UnitKind::kAttention), "goes together with up_blocks.0.attentions.0");
  EXPECT_EQ(
      find(list_units(tree_of("sd15")), "down_blocks.0.attentions.0.transformer_blocks.0", UnitKind::kTransformerBlock).why_not,
      "the last transformer block of its module");
}

// Blocks of the last down stage and of the mid block are tied, and a pair needs one of the mirror stage: those are checked
// by the plan as a whole. Every other unit that calls itself removable must go alone.
TEST(Units, that_are_removable_and_not_tied_can_go_alone) {
  size_t tried = 0;
  for (const char* name : {"sdxl-base", "sd15", "ssd-1b", "koala-1b"}) {
    const BlockTree teacher = tree_of(name);
    for (const Unit& unit : list_units(teacher)) {
      const std::string last_down = "down_blocks." + std::to_string(teacher.down.size() - 1);
      const bool tied = unit.kind == UnitKind::kPair || unit.kind == UnitKind::kResnet ||
                        (unit.kind == UnitKind::kTransformerBlock && teacher.mid && teacher.mid->attention &&
                         (unit.module == last_down + ".attentions.0" || unit.module == "mid_block.attentions.0"));
      if (!unit.removable || tied) continue;
      const RemovalPlan plan = plan_for(teacher, unit.rows);
      BlockTree student;
      ASSERT_EQ(testing::error_of([&] { student = apply_plan(teacher, plan); }), "") << name << " " << unit.path;
      EXPECT_EQ(parameters(teacher) - parameters(student), unit.parameters) << name << " " << unit.path;
      ++tried;
    }
  }
  EXPECT_GT(tried, 60u);
}

}  // namespace
}  // namespace espalier::prune
