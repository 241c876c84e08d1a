// report.html of runs of `espalier distill` and of `espalier report`.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/sweep/store.h"
#include "tests/support/distill_run.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ReportCli, a_finished_run_has_its_page_and_report_writes_it_again) {
  DistillRun run("report");
  run.write_recipe(
      "[train]\nbatch_size = 2\nclip_norm = 1.0\n"
      "[[stage]]\nsteps = 2\n"
      "prune = { use = \"espalier.prune.blocks\", remove = [\"up_blocks.0.attentions.1.transformer_blocks.2\"] }\n");
  const CommandResult result = run.run("<b>run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string page = run.bytes("<b>run/report.html");
  EXPECT_THAT(page, HasSubstr("of the parameters"));
  EXPECT_THAT(page, HasSubstr("removed in stage 1"));
  EXPECT_THAT(page, HasSubstr("replayed batches"));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;run"));
  EXPECT_THAT(page, Not(HasSubstr("<b>run")));
  EXPECT_TRUE(std::filesystem::exists(run.path("<b>run/manifest.json")));
  EXPECT_THAT(run.bytes("<b>run/pictures/captions.json"), HasSubstr("replayed batches")) << "why there are none";

  std::filesystem::remove(run.path("<b>run/report.html"));
  const CommandResult again = testing::run_espalier({"report", run.path("<b>run").string()});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(run.bytes("<b>run/report.html"), HasSubstr("removed in stage 1"));
}

TEST(ReportCli, of_a_sweeps_folder_the_sweeps_page_is_written) {
  DistillRun run("report_sweep");
  const sweep::Store store(run.path("s1"));
  sweep::Trial trial;
  trial.id = "0123456789abcdef", trial.planned_steps = 3;
  store.create("base = \"recipe.toml\"\n", {}, {trial});
  store.finish(trial.id, {.state = "complete", .cause = "", .steps = 3, .values = {{"val/total", 0.5f}}});
  const CommandResult result = testing::run_espalier({"report", run.path("s1").string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("s1/report.html"));
  EXPECT_THAT(run.bytes("s1/report.html"), HasSubstr("1 trial: 1 complete, 0 pruned, 0 failed, 0 left."));
}

TEST(ReportCli, a_folder_that_is_no_finished_run_is_refused) {
  DistillRun run("report_none");
  const CommandResult result = testing::run_espalier({"report", run.path("nothing").string()});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("is no finished run"));
}

}  // namespace
}  // namespace espalier
