// Running passes: in order, verified, switched off, recorded, dumped.

#include "core/passes/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/ir/hash.h"
#include "core/ir/parse.h"
#include "core/ir/print.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/registry.h"

namespace espalier::passes {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Graph example() {
  return parse(R"(graph @g(%x: f32[2]) -> f32[2] {
  %dead = exp %x : f32[2]
  %a = neg %x : f32[2]
  %b = neg %a : f32[2]
  %y = abs %b : f32[2]
  return %y
})",
               ops::registry());
}

std::vector<const Pass*> named(const std::vector<std::string>& names) { return find_passes(names); }

template <typename F>
std::string message_of(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    path = fs::path(::testing::TempDir()) /
           ("espalier-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(path);
  }
  void TearDown() override { fs::remove_all(path); }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  fs::path path;
};

TEST(Pipeline, records_what_each_pass_did) {
  std::vector<PassRecord> records;
  PipelineOptions options;
  options.disabled = {"cse"};
  run_passes(example(), named({"cse", "dce", "dce", "canonicalise"}), options, &records);
  ASSERT_EQ(records.size(), 4u);
  EXPECT_TRUE(records[0].disabled);
  EXPECT_TRUE(records[1].changed);
  EXPECT_EQ(records[1].nodes_before, 5u);
  EXPECT_EQ(records[1].nodes_after, 4u);
  EXPECT_FALSE(records[2].changed);
  EXPECT_TRUE(records[3].changed);
  const std::string table = to_text(records);
  EXPECT_THAT(table, HasSubstr("(disabled)"));
  EXPECT_THAT(table, HasSubstr("(unchanged)"));
}

TEST(Pipeline, names_every_unknown_pass_at_once) {
  const std::string what = message_of([] { named({"cze", "dce", "fold_constant"}); });
  EXPECT_THAT(what, HasSubstr("unknown pass 'cze'; did you mean 'cse'"));
  EXPECT_THAT(what, HasSubstr("unknown pass 'fold_constant'; did you mean 'fold_constants'"));
  PipelineOptions options;
  options.disabled = {"nothing"};
  EXPECT_THROW(run_passes(example(), {}, options), UserError);
}

TEST(Pipeline, names_the_pass_after_which_the_graph_is_broken) {
  static constexpr Pass kBreak{"break_types", "none", [](const Graph& graph, const Context&) {
                                 Graph out = graph;
                                 out.append(out.node(1), {f32({7})});
                                 return out;
                               }};
  const std::vector<const Pass*> passes{&kBreak};
  PipelineOptions options;
  options.verify = true;
  EXPECT_THAT(message_of([&] { run_passes(example(), passes, options); }), HasSubstr("after pass break_types"));
  options.verify = false;
  EXPECT_EQ(message_of([&] { run_passes(example(), passes, options); }), "");
}

TEST(Pipeline, standard_passes_are_all_known_and_use_all) {
  for (const Pass* pass : all_passes()) {
    bool used = false;
    for (const Pass* standard : standard_pipeline()) used = used || standard == pass;
    EXPECT_TRUE(used) << pass->name;
    EXPECT_FALSE(pass->guarantee.empty());
  }
}

TEST(Pipeline, tells_the_backend_which_operands_are_parameters) {
  const Graph graph = parse(R"(graph @g(%x: f32[2,4], %v: f32[4,4]) -> (a: f32[2,4], b: f32[2,4], c: f32[2,4]) {
  %p = param "p" : f32[4,4]
  %flat = param "flat" : f32[16]
  %q = reshape %flat {shape=[4,4]} : f32[4,4]
  %h = linear %x, %p : f32[2,4]
  %a = add %h, %x : f32[2,4]
  %i = linear %x, %q : f32[2,4]
  %b = add %i, %x : f32[2,4]
  %j = linear %x, %v : f32[2,4]
  %c = add %j, %x : f32[2,4]
  return %a, %b, %c
})",
                            ops::registry());
  std::vector<std::vector<bool>> asked;
  const auto packed_only = [&](const OpCall& call, const std::vector<bool>& is_param) {
    if (*call.op->name == "linear_add") asked.push_back(is_param);
    return is_param[1];
  };
  const Graph fused = run_passes(graph, named({"fuse"}), {.context = {packed_only}});
  EXPECT_THAT(asked, ElementsAre(std::vector{false, true, false, false}, std::vector{false, true, false, false},
                                 std::vector{false, false, false, false}));
  const std::string text = print(fused);
  EXPECT_THAT(text, HasSubstr("%a = linear_add %x, %p"));
  EXPECT_THAT(text, HasSubstr("%b = linear_add %x, %q"));
  EXPECT_THAT(text, HasSubstr("%c = add %j, %x"));

  asked.clear();
  const Graph kept = run_passes(fused, named({"expand"}), {.context = {packed_only}});
  EXPECT_THAT(asked, ElementsAre(std::vector{false, true, false, false}, std::vector{false, true, false, false}));
  EXPECT_TRUE(structurally_equal(kept, fused)) << print(kept);
}

TEST_F(Folder, receives_the_graph_after_each_pass_that_changed_it) {
  PipelineOptions options;
  options.dump_folder = path;
  const Graph result = run_passes(example(), named({"dce", "cse", "canonicalise"}), options);
  EXPECT_THAT(files(), ElementsAre("000_input.eir", "010_dce.eir", "030_canonicalise.eir", "index.txt"));
  EXPECT_EQ(read_text(path / "030_canonicalise.eir"), print(result));
  EXPECT_TRUE(structurally_equal(parse(read_text(path / "000_input.eir"), ops::registry()), example()));
  const std::string index = read_text(path / "index.txt");
  EXPECT_THAT(index, HasSubstr("cse"));
  EXPECT_THAT(index, HasSubstr("(unchanged)"));
}

TEST_F(Folder, of_an_earlier_dump_is_replaced) {
  PipelineOptions options;
  options.dump_folder = path;
  run_passes(example(), named({"dce", "canonicalise"}), options);
  run_passes(example(), named({"canonicalise"}), options);
  EXPECT_THAT(files(), ElementsAre("000_input.eir", "010_canonicalise.eir", "index.txt"));
}

TEST_F(Folder, with_foreign_files_is_refused_and_left_as_it_is) {
  fs::create_directories(path / "010_dce.eir");
  write_text(path / "notes.txt", "mine");
  write_text(path / "000_input.eir", "old");
  PipelineOptions options;
  options.dump_folder = path;
  const std::string what = message_of([&] { run_passes(example(), named({"dce"}), options); });
  EXPECT_THAT(what, HasSubstr("holds files that are not a dump: 010_dce.eir, notes.txt; name an empty or new folder"));
  EXPECT_EQ(read_text(path / "000_input.eir"), "old");
  EXPECT_THAT(files(), ElementsAre("000_input.eir", "010_dce.eir", "notes.txt"));
}

TEST_F(Folder, keeps_the_graph_of_the_pass_that_broke_it) {
  static constexpr Pass kBreak{"break_types", "none", [](const Graph& graph, const Context&) {
                                 Graph out = graph;
                                 out.append(out.node(1), {f32({7})}, {"broken"});
                                 return out;
                               }};
  PipelineOptions options;
  options.dump_folder = path;
  options.verify = true;
  EXPECT_THROW(run_passes(example(), std::vector<const Pass*>{&kBreak}, options), VerifyError);
  EXPECT_THAT(read_text(path / "010_break_types.eir"), HasSubstr("%broken = exp"));
}

}  // namespace
}  // namespace espalier::passes
