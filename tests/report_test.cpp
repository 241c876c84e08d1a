// The page of a run from facts made by hand: what it says, and that no text from a file becomes markup.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/report/curves.h"
#include "core/report/facts.h"
#include "core/report/markup.h"
#include "core/report/unet_map.h"

namespace espalier::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kHostile = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&";

/// Facts of a run without blocks: the teacher and one stage with a gate.
Facts small_facts() {
  Facts facts;
  facts.run = "run1";
  facts.before = ModelFacts{.name = "teacher",
                            .parameters = 2000,
                            .tensors = 9,
                            .flops = 4e6,
                            .weight_bytes = 8000,
                            .dtype = "f32",
                            .forward_ms = 30,
                            .slowest_forward_ms = 31};
  facts.after = ModelFacts{.name = "student",
                           .parameters = 1000,
                           .tensors = 5,
                           .flops = 3e6,
                           .weight_bytes = 4000,
                           .dtype = "f32",
                           .forward_ms = 15,
                           .slowest_forward_ms = 16};
  facts.has_teacher = true;
  facts.steps = 3, facts.samples_per_step = 2;
  facts.batch = 2, facts.height = 8, facts.width = 8, facts.channels = 4, facts.tokens = 7, facts.forwards = 7;
  facts.backend = "cpu";
  StageFacts stage;
  stage.end_step = 3, stage.parameters = 1000;
  stage.gate = "val/total < 1", stage.value = 0.5f, stage.outcome = "met";
  facts.stages.push_back(stage);
  facts.metrics.training = Table{{"task", "total"}, {0, 1, 2}, {{3, 2, 1}, {4, 3, 2}}};
  facts.recipe = "[train]\nsteps = 3\n";
  facts.pictures.why_none = "the run's data are replayed batches";
  facts.lineage = {{"seed", "7"}};
  return facts;
}

TEST(Report, says_sizes_speed_and_gates_before_and_after) {
  const std::string page = to_html(small_facts());
  EXPECT_THAT(page, HasSubstr("50.0% of the parameters, 2.00 times as fast"));
  EXPECT_THAT(page, HasSubstr("val/total &lt; 1"));
  EXPECT_THAT(page, HasSubstr("met"));
  EXPECT_THAT(page, HasSubstr("30 ms"));
  EXPECT_THAT(page, HasSubstr("None: the run&#39;s data are replayed batches."));
}

TEST(Report, no_text_from_a_file_becomes_markup) {
  Facts facts = small_facts();
  const std::string plain = to_html(facts);
  facts.run = facts.before->name = facts.before->dtype = facts.backend = facts.recipe = kHostile;
  facts.stages[0].gate = facts.stages[0].outcome = kHostile;
  facts.stages[0].removed = {kHostile};
  facts.removed = {{kHostile, -1}};
  facts.metrics.training.keys[0] = kHostile;
  facts.before->loaders = facts.after.loaders = {{.loader = kHostile, .opens = false, .as = "", .reason = kHostile}};
  facts.lineage = {{kHostile, kHostile}};
  facts.pictures.why_none.clear();
  facts.pictures.rows = facts.pictures.settings = kHostile;
  facts.pictures.captions = {kHostile};
  facts.pictures.columns = {{kHostile, "", {"png"}}, {kHostile, kHostile, {}}};
  const std::string page = to_html(facts);
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  // In the script's JSON a name keeps its quotes: there only "<" could end the element. Everywhere else none is left.
  const std::string json = curves_json(facts);
  const size_t at = page.find(json);
  ASSERT_NE(at, std::string::npos);
  EXPECT_THAT(page.substr(0, at) + page.substr(at + json.size()), Not(HasSubstr("onerror='")));
  const auto count = [](const std::string& text, const std::string& what) {
    size_t found = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count(page, "</script"), count(plain, "</script")) << "a hostile text ended a script element";
  EXPECT_EQ(count(page, "<img"), 1u) << "one picture was given";
}

TEST(Report, refers_to_nothing_outside_itself) {
  const std::string page = to_html(small_facts());
  for (const char* outside : {"http:", "https:", "src=\"/", "@import", "url(", "<link", "fetch("})
    EXPECT_THAT(page, Not(HasSubstr(outside))) << outside;
}

TEST(Report, the_same_facts_give_the_same_bytes) { EXPECT_EQ(to_html(small_facts()), to_html(small_facts())); }

TEST(Report, curves_are_json_whatever_a_term_is_called) {
  Facts facts = small_facts();
  facts.metrics.training.keys[0] = kHostile;
  facts.metrics.training.columns[1][1] = NAN;  // a row without the term
  const std::string text = curves_json(facts);
  EXPECT_THAT(text, Not(HasSubstr("</")));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["training"]["keys"][0], kHostile);
  EXPECT_TRUE(json["training"]["columns"][1][1].is_null());
  EXPECT_EQ(json["training"]["columns"][0][2], 1);
}

TEST(Report, escaped_text_keeps_its_lines_and_shows_control_characters) {
  EXPECT_EQ(escaped("a<b>&'\"\nc"), "a&lt;b&gt;&amp;&#39;&quot;\nc");
  EXPECT_THAT(escaped("x\x1b[31m"), Not(HasSubstr("\x1b")));
}

TEST(Report, data_uris_are_base64) {
  EXPECT_EQ(data_uri("image/png", "M"), "data:image/png;base64,TQ==");
  EXPECT_EQ(data_uri("image/png", "Ma"), "data:image/png;base64,TWE=");
  EXPECT_EQ(data_uri("image/png", "Man"), "data:image/png;base64,TWFu");
}

TEST(Report, long_runs_are_thinned_to_means_never_across_a_stage) {
  Table table{{"task"}, {}, {{}}};
  for (int64_t step = 0; step < 10; ++step) table.steps.push_back(step), table.columns[0].push_back(static_cast<float>(step));
  const ThinTable thin = thinned(table, 4, {5});
  EXPECT_EQ(thin.window, 3u);
  EXPECT_THAT(thin.table.columns[0], ElementsAre(1, 3.5f, 6, 8.5f));
  EXPECT_EQ(thinned(table, 10, {}).window, 1u);
}

TEST(Report, a_broken_row_of_metrics_is_named_by_its_line) {
  const auto file = std::filesystem::temp_directory_path() / ("espalier_report_" + std::to_string(getpid()) + ".jsonl");
  std::ofstream(file) << "{\"step\":0,\"task\":1}\n{\"step\":0,\"val/task\":2}\n{\"step\":\"x\"}\n";
  try {
    read_metrics(file);
    ADD_FAILURE() << "was read";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr(".jsonl:3: is no row of metrics"));
  }
  std::filesystem::remove(file);
}

TEST(Report, a_block_has_the_last_loss_of_the_attempts_that_were_kept) {
  Facts facts = small_facts();
  const std::string path = "down_blocks.0.resnets.0", later = "down_blocks.0.resnets.1";
  facts.metrics.training = Table{{"feature-kd/" + path}, {0, 1, 2}, {{8, 99, 2}}};
  facts.stages.assign(3, StageFacts{});
  for (int64_t i = 0; i < 3; ++i) {
    StageFacts& stage = facts.stages[static_cast<size_t>(i)];
    stage.first_step = i, stage.end_step = i + 1;
    stage.places = {{path, i == 2 ? later : path}};
    stage.kept = i != 1;
  }
  const auto losses = block_losses(facts);
  EXPECT_EQ(losses.at(path).of.last, 8) << "the attempt with 99 was rolled back";
  EXPECT_EQ(losses.at(later).of.last, 2) << "after a removal the student's path names another block of the base";
}

}  // namespace
}  // namespace espalier::report
