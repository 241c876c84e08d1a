// Losses in use over the C ABI: what a plugin emits becomes nodes, and what it gets wrong an error that says so.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ops/registry.h"
#include "tests/support/losses.h"

namespace espalier::plugins {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::unique_ptr<distill::LossStrategy> zoo_loss(const std::string& fault) {
  return espalier::testing::open_loss(std::string(ESPALIER_ZOO) + "/loss.esp.so", "zoo.loss", {"fault=" + fault});
}

struct Setting {
  Graph graph;
  Builder b{graph};
  distill::LossView view;
  Setting() {
    view.output = b.input("output", f32({2, 4, 4, 3}));
    view.target = b.input("target", f32({2, 4, 4, 3}));
    view.timestep = b.input("timestep", f32({2}));
    view.alpha_bar = b.input("alpha_bar", f32({2}));
  }
};

TEST(LossAdapter, a_loss_in_c_emits_nodes) {
  Setting s;
  const auto loss = zoo_loss("none");
  EXPECT_EQ(loss->default_name(), "loss") << "the last part of its id";
  EXPECT_FALSE(loss->pairs().wanted);
  const std::vector<distill::LossTerm> terms = loss->emit(s.b, s.view);
  ASSERT_EQ(terms.size(), 1u);
  EXPECT_TRUE(s.graph.def(terms[0].value).is(ops::reduce_mean_def));
  EXPECT_EQ(s.graph.type(terms[0].value), f32({}));
}

TEST(LossAdapter, what_a_loss_gets_wrong_is_said_with_its_id) {
  const auto emit = [](const std::string& fault) {
    return [fault] {
      Setting s;
      zoo_loss(fault)->emit(s.b, s.view);
    };
  };
  EXPECT_THAT(emit("unknown-op"),
              ThrowsMessage<UserError>(HasSubstr("[zoo.loss] there is no op 'sqare'; did you mean 'square' or 'sqrt'?")));
  EXPECT_THAT(emit("bad-shapes"), ThrowsMessage<UserError>(HasSubstr("[zoo.loss] [sub] a is f32[2,4,4,3] and c is f32[2]")));
  EXPECT_THAT(emit("unknown-attribute"),
              ThrowsMessage<UserError>(HasSubstr("[reduce_mean] unknown attribute 'axis'; did you mean 'axes'?")));
  EXPECT_THAT(emit("null-operands"), ThrowsMessage<UserError>(HasSubstr("'square' has operands or attributes at null")));
  EXPECT_THAT(emit("null-list"), ThrowsMessage<UserError>(HasSubstr("attribute 'axes' has 3 elements at null")));
  EXPECT_THAT(emit("no-elements"), ThrowsMessage<UserError>(HasSubstr("'broadcast' makes f32[0]; extents must be at least 1")));
  EXPECT_THAT(emit("made-up-handle"), ThrowsMessage<UserError>(HasSubstr("a value handle is not of this call")));
  const auto stale = [] {
    const auto loss = zoo_loss("stale-handle");
    Setting s;
    Setting later;
    loss->emit(s.b, s.view);
    loss->emit(later.b, later.view);
  };
  EXPECT_THAT(stale, ThrowsMessage<UserError>(HasSubstr("a value handle is not of this call")));
}

TEST(LossAdapter, pairs_come_from_a_granularity_or_a_list_and_nothing_else) {
  using espalier::testing::our_loss;
  EXPECT_EQ(our_loss("feature-kd")->pairs().granularity, "sub-block");
  EXPECT_EQ(our_loss("feature-kd", {"pairs=layer"})->pairs().granularity, "layer");
  const distill::PairsRequest listed =
      our_loss("feature-kd", {"pairs=[{teacher = 'mid_block', student = 'mid_block.resnets.0'}]"})->pairs();
  EXPECT_EQ(listed.granularity, "");
  ASSERT_EQ(listed.listed.size(), 1u);
  EXPECT_EQ(listed.listed[0], (distill::FeaturePair{"mid_block", "mid_block.resnets.0"}));
  for (const char* wrong : {"pairs=blok", "pairs=[]", "pairs=[1]", "pairs=[{teacher = 'mid_block'}]", "pairs=3"}) {
    const auto open = [&] { our_loss("feature-kd", {wrong}); };
    EXPECT_THAT(open, ThrowsMessage<UserError>(HasSubstr("'pairs' wants granularity or list of pairs"))) << wrong;
  }
}

}  // namespace
}  // namespace espalier::plugins
