// The pruners that ship, through the plugin host: structure, origins, certificates, refusals.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/io/memory_source.h"
#include "core/prune/certificate.h"
#include "core/prune/strategy.h"
#include "plugins/prune_adapter.h"
#include "plugins/registry.h"
#include "tests/support/prune_cases.h"

namespace espalier::prune {
namespace {

using model::BlockTree;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::parameters;
using testing::tree_of;
using testing::tree_text;

const plugins::Registry& registry() {
  static const plugins::Registry* made = [] {
    plugins::SearchRequest request;
    request.path_variable = std::string(ESPALIER_BUILD_DIR) + "/plugins";
    return new plugins::Registry(request);
  }();
  return *made;
}

RemovalPlan plan_by(const std::string& name, const BlockTree& teacher, const std::vector<std::string>& sets = {},
                    const io::TensorSourcePtr& weights = nullptr) {
  const plugins::Component& component = registry().find(plugins::kPruneKind, "espalier.prune." + name);
  ErrorList errors;
  const plugins::ParamValues params = plugins::resolve_params(component.params, {nullptr, "", {}, sets}, component.id, errors);
  errors.throw_if_any();
  return run_strategy(*plugins::make_pruner(component, params), teacher, {.weights = weights}).plan;
}

/// The original indices that stay in one attention module.
std::vector<int> kept(const BlockTree& student, const std::string& module) {
  std::vector<int> indices;
  for (const model::BlockRef& ref : model::block_refs(student))
    if (ref.kind == "transformer_block" && ref.origin.rfind(module + ".", 0) == 0)
      indices.push_back(std::stoi(ref.origin.substr(ref.origin.rfind('.') + 1)));
  return indices;
}

struct Published {
  std::string pruner, teacher, student;
  int64_t parameters, tensors;
};

class Named : public ::testing::TestWithParam<Published> {};

TEST_P(Named, makes_the_published_structure) {
  const Published& p = GetParam();
  const BlockTree teacher = tree_of(p.teacher);
  const RemovalPlan plan = plan_by(p.pruner, teacher);
  const BlockTree student = apply_plan(teacher, plan);
  EXPECT_EQ(parameters(student), p.parameters);
  EXPECT_EQ(static_cast<int64_t>(model::tensor_specs(student).size()), p.tensors);
  const BlockTree written = model::build_tree(model::parse_config(model::write_config(student.config), "written"));
  EXPECT_EQ(tree_text(written, false), tree_text(tree_of(p.student), false));  // ends in the structure hash
  const Certificate certificate = certify(teacher, plan, student);
  EXPECT_TRUE(certificate.holds) << certificate.difference;
  EXPECT_EQ(tree_text(invert_plan(student, teacher, plan)), tree_text(teacher));
}

TEST_P(Named, plan_is_the_same_after_a_round_trip_through_its_file) {
  const BlockTree teacher = tree_of(GetParam().teacher);
  const RemovalPlan plan = plan_by(GetParam().pruner, teacher);
  const std::string text = write_plan(plan);
  EXPECT_EQ(write_plan(parse_plan(text, "plan.toml")), text);
  EXPECT_EQ(write_plan(in_teacher_order(teacher, plan)), text);
}

TEST_P(Named, certificate_fails_for_a_plan_that_lacks_a_row) {
  const BlockTree teacher = tree_of(GetParam().teacher);
  RemovalPlan plan = plan_by(GetParam().pruner, teacher);
  const BlockTree student = apply_plan(teacher, plan);
  plan.removals.erase(plan.removals.begin());
  EXPECT_FALSE(certify(teacher, plan, student).holds);
}

INSTANTIATE_TEST_SUITE_P(Structures, Named,
                         ::testing::Values(Published{"ssd-1b", "sdxl-base", "ssd-1b", 1'331'334'404, 944},
                                           Published{"vega", "sdxl-base", "vega", 745'225'604, 564},
                                           Published{"koala-700m", "sdxl-base", "koala-700m", 782'822'724, 584},
                                           Published{"koala-1b", "sdxl-base", "koala-1b", 1'161'184'324, 790},
                                           Published{"bk-sdm-base", "sd15", "bk-sdm-base", 579'384'964, 442},
                                           Published{"bk-sdm-small", "sd15", "bk-sdm-small", 482'346'884, 396},
                                           Published{"bk-sdm-tiny", "sd15", "bk-sdm-tiny", 323'384'964, 358},
                                           Published{"bk-sdm-base", "sd21", "bk-sdm-v2-base", 583'480'964, 442},
                                           Published{"bk-sdm-small", "sd21", "bk-sdm-v2-small", 485'787'524, 396},
                                           Published{"bk-sdm-tiny", "sd21", "bk-sdm-v2-tiny", 326'825'604, 358}),
                         [](const auto& info) {
                           std::string name = info.param.pruner + "_of_" + info.param.teacher;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Ssd1b, keeps_the_inferred_blocks_and_says_so) {
  const BlockTree teacher = tree_of("sdxl-base");
  const RemovalPlan plan = plan_by("ssd-1b", teacher);
  const BlockTree student = apply_plan(teacher, plan);
  EXPECT_THAT(kept(student, "down_blocks.2.attentions.1"), ElementsAre(0, 1, 2, 6));
  EXPECT_THAT(kept(student, "up_blocks.0.attentions.0"), ElementsAre(0, 1, 2, 6));
  EXPECT_EQ(kept(student, "up_blocks.0.attentions.2").size(), 10u);
  EXPECT_THAT(kept(student, "up_blocks.1.attentions.0"), ElementsAre(0, 1));
  EXPECT_THAT(kept(student, "up_blocks.1.attentions.2"), ElementsAre(0));
  EXPECT_THAT(kept(student, "down_blocks.1.attentions.0"), ElementsAre(0, 1));
  ASSERT_EQ(plan.notes.size(), 1u);
  EXPECT_THAT(plan.notes[0], HasSubstr("inferred"));
}

TEST(Vega, origin_is_a_setting) {
  const BlockTree teacher = tree_of("sdxl-base");
  const auto kept_by = [&](const char* origin) {
    return kept(apply_plan(teacher, plan_by("vega", teacher, {std::string("origin=") + origin})), "up_blocks.0.attentions.2");
  };
  EXPECT_THAT(kept_by("first-k"), ElementsAre(0, 1));
  EXPECT_THAT(kept_by("evenly-spaced"), ElementsAre(0, 5));
  EXPECT_THAT(kept_by("from-ssd-1b"), ElementsAre(0, 1));
}

TEST(NamedPruners, fit_any_width) {
  model::UNetConfig config = model::read_config(testing::config_file("sdxl-base"));
  config.block_out_channels = {32, 64, 96};
  config.heads = {2, 2, 3};
  const BlockTree teacher = model::build_tree(config);
  for (const char* name : {"ssd-1b", "vega", "koala-700m", "koala-1b"}) {
    const RemovalPlan plan = plan_by(name, teacher);
    EXPECT_TRUE(certify(teacher, plan, apply_plan(teacher, plan)).holds) << name;
  }
}

TEST(NamedPruners, refuse_another_structure_with_the_difference) {
  EXPECT_EQ(
      error_of([] { plan_by("ssd-1b", tree_of("ssd-1b")); }),
      "[espalier.prune.ssd-1b] this pruner needs a UNet with the stages and depths of SDXL; down_blocks.2.attentions.0 has 4 "
      "transformer blocks, in SDXL 10; down_blocks.2.attentions.1 has 4 transformer blocks, in SDXL 10; up_blocks.0.attentions.0 "
      "has "
      "4 transformer blocks, in SDXL 10; up_blocks.0.attentions.1 has 4 transformer blocks, in SDXL 10; and 4 more");
  EXPECT_THAT(
      error_of([] { plan_by("bk-sdm-tiny", tree_of("sdxl-base")); }),
      HasSubstr(
          "needs a UNet with the stages and depths of SD 1.x and 2.x; down_blocks.1.attentions.0 has 2 transformer blocks"));
  EXPECT_THAT(error_of([] { plan_by("bk-sdm-base", tree_of("bk-sdm-base")); }),
              HasSubstr("down_blocks.0.attentions.1 is missing"));
}

TEST(ByRule, keep_k_thins_every_module) {
  const BlockTree teacher = tree_of("sdxl-base");
  const BlockTree first = apply_plan(teacher, plan_by("first-k", teacher, {"keep=3"}));
  EXPECT_THAT(kept(first, "mid_block.attentions.0"), ElementsAre(0, 1, 2));
  EXPECT_THAT(kept(first, "down_blocks.1.attentions.0"), ElementsAre(0, 1));
  const BlockTree even = apply_plan(teacher, plan_by("evenly-spaced", teacher, {"keep=3"}));
  EXPECT_THAT(kept(even, "mid_block.attentions.0"), ElementsAre(0, 3, 6));
  EXPECT_THAT(kept(even, "up_blocks.0.attentions.2"), ElementsAre(0, 3, 6));
}

TEST(ByRule, like_gives_the_structure_of_the_named_student) {
  const BlockTree teacher = tree_of("sdxl-base");
  for (const char* rule : {"first-k", "evenly-spaced", "random"})
    for (const char* like : {"ssd-1b", "vega", "koala-700m", "koala-1b"}) {
      const RemovalPlan plan = plan_by(rule, teacher, {std::string("like=espalier.prune.") + like});
      const BlockTree student = apply_plan(teacher, plan);
      EXPECT_EQ(tree_text(student, false), tree_text(tree_of(like), false)) << rule << " " << like;
      EXPECT_TRUE(certify(teacher, plan, student).holds) << rule << " " << like;
    }
  EXPECT_THAT(
      kept(apply_plan(teacher, plan_by("evenly-spaced", teacher, {"like=espalier.prune.ssd-1b"})), "up_blocks.0.attentions.0"),
      ElementsAre(0, 2, 5, 7));
}

TEST(ByRule, refuses_neither_and_both) {
  const BlockTree teacher = tree_of("sdxl-base");
  EXPECT_EQ(error_of([&] { plan_by("first-k", teacher); }),
            "[espalier.prune.first-k] give keep = k or like = \"espalier.prune.ssd-1b\"");
  EXPECT_EQ(error_of([&] {
              plan_by("random", teacher, {"keep=2", "like=espalier.prune.vega"});
            }),
            "[espalier.prune.random] keep and like exclude each other; give one");
}

TEST(Random, depends_on_the_seed_alone) {
  const BlockTree teacher = tree_of("sdxl-base");
  const std::string one = write_plan(plan_by("random", teacher, {"keep=4", "seed=1"}));
  EXPECT_EQ(write_plan(plan_by("random", teacher, {"keep=4", "seed=1"})), one);
  EXPECT_NE(write_plan(plan_by("random", teacher, {"keep=4", "seed=2"})), one);
  const BlockTree student = apply_plan(teacher, plan_by("random", teacher, {"keep=4", "seed=1"}));
  EXPECT_NE(kept(student, "up_blocks.0.attentions.0"), kept(student, "up_blocks.0.attentions.1"));
  EXPECT_EQ(kept(student, "up_blocks.0.attentions.0").size(), 4u);
}

TEST(Magnitude, refuses_a_lone_config_and_says_what_to_do) {
  EXPECT_EQ(error_of([] { plan_by("magnitude", tree_of("sdxl-base"), {"keep=4"}); }),
            "[espalier.prune.magnitude] ranks blocks by their weights and this model is a config alone; give a model folder or a "
            "checkpoint, "
            "or use espalier.prune.first-k, evenly-spaced or random");
}

TEST(Magnitude, keeps_the_blocks_with_the_largest_projections) {
  const std::filesystem::path golden = std::filesystem::path(ESPALIER_SOURCE_DIR) / "tests/golden/tiny-sdxl/unet";
  const model::Model teacher = model::load_model(golden);
  const BlockTree student = apply_plan(teacher.tree, plan_by("magnitude", teacher.tree, {"keep=2"}, teacher.weights));
  for (const std::string module : {"down_blocks.2.attentions.0", "mid_block.attentions.0", "up_blocks.0.attentions.1"}) {
    std::vector<std::pair<double, int>> ranked;
    for (int i = 0; i < 4; ++i) {
      double sum = 0;
      for (const char* part : {"attn1.to_out.0.weight", "attn2.to_out.0.weight", "ff.net.2.weight"}) {
        double squares = 0;
        for (const float v : io::read_f32(teacher.weights->get(module + ".transformer_blocks." + std::to_string(i) + "." + part)))
          squares += static_cast<double>(v) * v;
        sum += std::sqrt(squares);
      }
      ranked.emplace_back(-sum, i);
    }
    std::sort(ranked.begin(), ranked.end());
    std::vector<int> want = {ranked[0].second, ranked[1].second};
    std::sort(want.begin(), want.end());
    EXPECT_EQ(kept(student, module), want) << module;
  }
}

TEST(Blocks, removes_what_its_globs_name) {
  const BlockTree teacher = tree_of("sdxl-base");
  const auto paths = [&](const std::vector<std::string>& globs) {
    std::vector<std::string> sets, rows;
    for (const std::string& glob : globs) sets.push_back("remove=" + glob);
    for (const Removal& row : plan_by("blocks", teacher, sets).removals) rows.push_back(row.path);
    return rows;
  };
  EXPECT_THAT(paths({"mid_block"}), ElementsAre("mid_block"));
  EXPECT_THAT(paths({"mid_block.attentions.0", "mid_block.resnets.1"}),
              ElementsAre("mid_block.attentions.0", "mid_block.resnets.1"));
  EXPECT_THAT(paths({"*_blocks.?.resnets.1"}).size(), 10u);  // three pairs down and up, and two resnets without attention
  EXPECT_THAT(paths({"up_blocks.0.attentions.*"}),
              ElementsAre("up_blocks.0.attentions.0", "up_blocks.0.attentions.1", "up_blocks.0.attentions.2"));
  EXPECT_EQ(paths({"up_blocks.0.attentions.2.transformer_blocks.4", "up_blocks.0.attentions.2.transformer_blocks.4*"}).size(),
            1u);
}

TEST(Blocks, refuses_what_names_nothing_that_can_go) {
  const BlockTree teacher = tree_of("sdxl-base");
  EXPECT_EQ(error_of([&] { plan_by("blocks", teacher, {"remove=mid_blok*"}); }),
            "[espalier.prune.blocks] remove: no block is named by 'mid_blok*'");
  EXPECT_EQ(error_of([&] { plan_by("blocks", teacher, {"remove=mid_block.resnets.0"}); }),
            "[espalier.prune.blocks] remove: 'mid_block.resnets.0' names nothing that can go; mid_block.resnets.0 cannot go: a "
            "mid block keeps "
            "its first resnet");
}

// A pruner that thinks between its stages: each call sees the student that the last one left.
class OneByOne final : public PruneStrategy {
 public:
  std::string id() const override { return "test.one-by-one"; }
  StrategyRows next(const StrategyInput& input) override {
    for (const Unit& unit : input.units)
      if (unit.path == "up_blocks.0.attentions.2.transformer_blocks.0")
        return {{{unit.path, unit.kind, "stage " + std::to_string(input.stage)}}, {}, {}, input.stage == 2};
    return {};
  }
};

TEST(RunStrategy, composes_the_stages_into_one_plan_on_the_teacher) {
  const BlockTree teacher = tree_of("sdxl-base");
  OneByOne pruner;
  const RemovalPlan plan = run_strategy(pruner, teacher, {}).plan;
  ASSERT_EQ(plan.removals.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(plan.removals[static_cast<size_t>(i)].path, "up_blocks.0.attentions.2.transformer_blocks." + std::to_string(i));
    EXPECT_EQ(plan.removals[static_cast<size_t>(i)].stage, i);
  }
  EXPECT_THAT(kept(apply_plan(teacher, plan), "up_blocks.0.attentions.2"), ElementsAre(3, 4, 5, 6, 7, 8, 9));
}

}  // namespace
}  // namespace espalier::prune
