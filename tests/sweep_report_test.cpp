// The page of a sweep from results made by hand: what it says, and that no text from a file becomes markup.

#include "core/report/sweep_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/report/kept_pictures.h"
#include "core/report/markup.h"
#include "core/report/sweep_curves.h"
#include "core/report/sweep_facts.h"

namespace espalier::report {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kHostile = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\x1b[31m";
const float kNan = std::numeric_limits<float>::quiet_NaN();

/// A sweep's folder that is gone with the object.
class Sweep {
 public:
  explicit Sweep(const std::string& name = "s1") {
    results.folder = fs::temp_directory_path() / ("espalier_sweep_report_" + std::to_string(getpid())) / name;
    fs::create_directories(results.folder / "trials");
    results.sweep_text = "base = \"recipe.toml\"\n";
  }
  ~Sweep() { fs::remove_all(results.folder.parent_path()); }
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;

  /// A trial with lr and seed; without a value it has no objective.
  sweep::TrialResult& add(const std::string& lr, int seed, std::optional<float> value, const std::string& state = "complete") {
    sweep::TrialResult row;
    row.trial.id = "id" + std::to_string(results.trials.size());
    row.trial.settings = {{"train.optimizer.lr", lr}, {"train.seed", std::to_string(seed)}};
    row.trial.planned_steps = 10;
    row.outcome.state = state;
    row.outcome.steps = 10, row.outcome.parameters = 2000, row.outcome.seconds = 1.5;
    if (value) row.outcome.values = {{"val/total", *value}, {"total", 2 * *value}};
    results.trials.push_back(row);
    return results.trials.back();
  }
  fs::path trial(size_t i) const { return results.folder / "trials" / results.trials[i].trial.id; }
  void put(size_t i, const std::string& file, const std::string& text) const {
    fs::create_directories(trial(i));
    write_text(trial(i) / file, text);
  }
  std::string page() const {
    write_sweep_report(results);
    return read_text(results.folder / "report.html");
  }
  sweep::Results results;
};

PictureFacts pictures(const std::string& student) {
  PictureFacts facts;
  facts.rows = "2 rows", facts.settings = "ddim", facts.side_px = 32;
  facts.captions = {"a fox", "a hen"};
  facts.columns = {{"the data", "", {"d0", "d1"}},
                   {"teacher", "", {"t0", "t1"}},
                   {"student", "", {"old", "old"}},
                   {"student, EMA", "", {student + "0", student + "1"}}};
  return facts;
}

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(SweepReport, every_trial_has_a_row_best_first_and_failed_ones_say_why) {
  Sweep sweep;
  sweep.add("0.1", 0, 3.0f);
  sweep.add("0.2", 0, 1.0f);
  sweep.add("0.3", 0, {}, "failed").outcome.cause = "the loss is not finite";
  sweep.add("0.4", 0, 0.5f, "pruned");
  sweep.add("0.5", 0, {}, "waiting");
  sweep.put(1, "report.html", "its page");
  const SweepFacts facts = sweep_facts(sweep.results);
  EXPECT_THAT(facts.order, ElementsAre(1, 0, 3, 4, 2)) << "one that is not complete is never the best";
  const std::string page = sweep.page();
  size_t at = 0;
  for (const size_t trial : facts.order) {
    const size_t next = page.find("data-trial=\"" + std::to_string(trial) + "\"");
    ASSERT_NE(next, std::string::npos) << trial;
    EXPECT_GT(next, at);
    at = next;
  }
  EXPECT_THAT(page, HasSubstr("the loss is not finite"));
  EXPECT_THAT(page, HasSubstr("5 trials: 2 complete, 1 pruned, 1 failed, 1 left."));
  EXPECT_THAT(page, HasSubstr("href=\"trials/id1/report.html\""));
  EXPECT_THAT(page, Not(HasSubstr("href=\"trials/id0/report.html\""))) << "it has no page";
}

TEST(SweepReport, more_is_better_where_the_objective_is_maximized) {
  Sweep sweep;
  sweep.add("0.1", 0, 3.0f);
  sweep.add("0.2", 0, 1.0f);
  sweep.results.rules.objective.maximize = true;
  EXPECT_THAT(sweep_facts(sweep.results).order, ElementsAre(0, 1));
  EXPECT_THAT(sweep.page(), HasSubstr("Best: lr 0.1"));
}

TEST(SweepReport, a_gap_is_compared_with_the_pooled_deviation_of_repeats) {
  // Deviations √0.02 and √0.08: pooled √0.05 = 0.2236.
  const auto text = [](float shift) {
    Sweep sweep;
    sweep.add("0.1", 0, 0.9f), sweep.add("0.1", 1, 1.1f);
    sweep.add("0.2", 0, 0.8f + shift), sweep.add("0.2", 1, 1.2f + shift);
    return verdict(sweep_facts(sweep.results));
  };
  EXPECT_THAT(text(0.2f), StartsWith("Within the spread: the second, lr 0.2, is 0.2 behind"));
  EXPECT_THAT(text(0.2f), HasSubstr("of their 2 and 2 trials is 0.22"));
  EXPECT_THAT(text(0.3f), StartsWith("A little more than the spread"));
  EXPECT_THAT(text(2.0f), AllOf(StartsWith("More than the spread"), HasSubstr("8.9 times")));
}

TEST(SweepReport, repeats_that_are_equal_to_the_digit_say_nothing_of_the_spread) {
  Sweep sweep;
  sweep.add("0.1", 0, 1.0f), sweep.add("0.1", 1, 1.0f);
  sweep.add("0.2", 0, 2.0f), sweep.add("0.2", 1, 2.0f);
  EXPECT_THAT(verdict(sweep_facts(sweep.results)), HasSubstr("Repeats gave equal numbers"));
}

TEST(SweepReport, without_repeats_no_gap_is_called_one) {
  Sweep sweep;
  sweep.add("0.1", 0, 1.0f);
  EXPECT_THAT(sweep.page(), HasSubstr("No other setting has a complete trial"));
  sweep.add("0.2", 0, 9.0f);
  EXPECT_THAT(sweep.page(), HasSubstr("with one complete trial each, nothing says whether"));
}

TEST(SweepReport, an_objective_that_is_not_finite_is_no_result) {
  Sweep sweep;
  EXPECT_THAT(sweep.page(), HasSubstr("No result yet")) << "no trials at all";
  sweep.add("0.1", 0, kNan);
  std::string page = sweep.page();
  EXPECT_THAT(page, HasSubstr("No result yet"));
  EXPECT_THAT(page, HasSubstr("not finite"));
  EXPECT_THAT(page, Not(HasSubstr("<section id=\"parallel\">"))) << "there is nothing to draw to";
  sweep.add("0.2", 0, 2.0f);
  EXPECT_THAT(sweep.page(), HasSubstr("Best: lr 0.2, val/total 2<"));
}

TEST(SweepReport, numbers_have_the_digits_that_their_deviation_supports) {
  EXPECT_EQ(with_spread(0.123456, 0.0056), "0.1235 ± 0.0056");
  EXPECT_EQ(with_spread(1234.56, 78), "1235 ± 78");
  EXPECT_EQ(with_spread(0.123456, 0), "0.1235");
  EXPECT_EQ(with_spread(1e-9, 2e-10), "1e-09 ± 2e-10");
}

TEST(SweepReport, axes_are_what_varies_and_those_that_go_together_are_one) {
  Sweep sweep;
  for (int i = 0; i < 4; ++i) {
    sweep::Trial& trial = sweep.add(i % 2 == 0 ? "0.1" : "0.00029999999999999997", i / 2, 1.0f).trial;
    trial.name = i < 2 ? "plain" : "cut";
    trial.settings.emplace_back("loss", i < 2 ? "[ 1 ]" : "[ 2 ]");
    trial.settings.emplace_back("stage.0.prune.use", i < 2 ? "'a'" : "'b'");
    trial.settings.emplace_back("stage.0.steps", "20");
  }
  const SweepFacts facts = sweep_facts(sweep.results);
  ASSERT_EQ(facts.axes.size(), 2u);
  EXPECT_EQ(facts.axes[0].label, "name");
  ASSERT_EQ(facts.axes[0].with.size(), 2u);
  EXPECT_EQ(facts.axes[0].with[0].path, "loss");
  EXPECT_EQ(facts.axes[0].with[1].label, "prune");
  EXPECT_EQ(facts.axes[1].label, "lr");
  EXPECT_THAT(facts.axes[1].values, ElementsAre("0.0003", "0.1"));
  EXPECT_TRUE(facts.axes[1].log);
  EXPECT_EQ(facts.labels[0], "plain, lr 0.1");
}

TEST(SweepReport, a_long_value_that_the_name_tells_is_not_shown_and_a_short_one_is_no_part_of_the_label) {
  Sweep sweep;
  for (int i = 0; i < 3; ++i) {
    sweep::Trial& trial = sweep.add("0.1", 0, 1.0f).trial;
    trial.name = "row" + std::to_string(i);
    if (i < 2) trial.settings.emplace_back("train.ema", "{ decay = 0.9, and = \"much more\" }");
    trial.settings.emplace_back("stage.0.steps", i < 2 ? "10" : "20");
  }
  const SweepFacts facts = sweep_facts(sweep.results);
  ASSERT_EQ(facts.axes.size(), 2u);
  EXPECT_EQ(facts.axes[1].label, "steps");
  EXPECT_THAT(facts.labels, ElementsAre("row0", "row1", "row2"));
  EXPECT_THAT(sweep.page(), Not(HasSubstr("much more")));
}

TEST(SweepReport, numbers_drawn_at_random_are_axes_of_their_own_and_ids_lose_what_all_have) {
  Sweep sweep;
  for (int i = 0; i < 3; ++i) {
    sweep::Trial& trial = sweep.add(std::to_string(0.12345678 + 0.1 * i), 0, 1.0f).trial;
    trial.settings.emplace_back("train.optimizer.weight_decay", std::to_string(0.5 - 0.1 * i));
    trial.settings.emplace_back("stage.0.prune.use", i == 0 ? "'espalier.prune.vega'" : "'espalier.prune.random'");
  }
  const SweepFacts facts = sweep_facts(sweep.results);
  ASSERT_EQ(facts.axes.size(), 3u);
  EXPECT_THAT(facts.axes[0].values, ElementsAre("0.1235", "0.2235", "0.3235"));
  EXPECT_EQ(facts.axes[2].label, "prune");
  EXPECT_THAT(facts.axes[2].values, ElementsAre("vega", "random"));
}

TEST(SweepReport, pictures_of_a_run_are_files_that_the_page_of_a_sweep_embeds) {
  Sweep sweep;
  sweep.add("0.1", 0, 2.0f, "running"), sweep.add("0.1", 1, 2.0f);
  EXPECT_THAT(sweep.page(), HasSubstr("None: they are drawn when a setting&#39;s first trial is complete"));
  sweep.results.trials[0].outcome.state = "complete";
  EXPECT_THAT(sweep.page(), HasSubstr("None: the runs of the trials kept none"));
  sweep.add("0.2", 0, 1.0f);
  sweep.add("0.3", 0, {}, "running");
  for (const size_t i : {0, 1, 2}) {
    fs::create_directories(sweep.trial(i));
    keep_pictures(pictures("before"), sweep.trial(i));
    keep_pictures(pictures("s" + std::to_string(i) + "-"), sweep.trial(i));
  }
  EXPECT_EQ(read_text(sweep.trial(2) / "pictures/student-ema-1.png"), "s2-1") << "replaced by those of the second time";
  EXPECT_EQ(read_text(sweep.trial(2) / "pictures/data-0.png"), "d0");
  const std::string page = sweep.page();
  for (const char* png : {"d0", "t1", "s0-0", "s2-1"}) EXPECT_THAT(page, HasSubstr(data_uri("image/png", png))) << png;
  EXPECT_THAT(page, Not(HasSubstr(data_uri("image/png", "s1-0")))) << "a setting is shown by its first repeat";
  EXPECT_THAT(page, Not(HasSubstr(data_uri("image/png", "old")))) << "the average stands for the student";
  EXPECT_LT(page.find(data_uri("image/png", "s2-0")), page.find(data_uri("image/png", "s0-0"))) << "best first";
  EXPECT_THAT(page, HasSubstr("1 setting: no pictures yet"));
  fs::remove(sweep.trial(2) / "pictures/student-ema-1.png");
  EXPECT_THAT(sweep.page(), HasSubstr("student-ema-1.png")) << "a file that is missing is named";
}

TEST(SweepReport, curves_have_terms_but_no_single_features_and_a_growing_file_is_read) {
  Sweep sweep;
  sweep.add("0.1", 0, {}, "running");
  sweep.put(0, "metrics.jsonl",
            "{\"step\":0,\"total\":2,\"feature/a.b\":1,\"grad_norm\":3}\n{\"step\":1,\"val/total\":1.5}\n{\"step\":1,\"tot");
  SweepFacts facts = sweep_facts(sweep.results);
  facts.curves = read_sweep_curves(facts);
  const auto json = nlohmann::json::parse(sweep_json(facts));
  EXPECT_EQ(json["lines"][0]["training"], (nlohmann::json{{"steps", {0}}, {"=total", {2}}}));
  EXPECT_EQ(json["lines"][0]["held"], (nlohmann::json{{"steps", {1}}, {"=total", {1.5}}}));
  sweep.put(0, "metrics.jsonl", "no row\n");
  EXPECT_THAT(sweep.page(), HasSubstr("metrics.jsonl:1: is no row of metrics"));
}

TEST(SweepReport, no_text_from_a_file_becomes_markup) {
  const auto make = [](const std::string& text) {
    Sweep sweep(text == kHostile ? "<b>" : "b");
    for (int i = 0; i < 2; ++i) {
      sweep::TrialResult& row = sweep.add("0.1", i, 1.0f);
      row.trial.name = text + std::to_string(i);
      row.trial.settings.emplace_back(text, text + std::to_string(i));
      row.trial.settings.emplace_back("x." + text, i == 0 ? "1" : text);
      row.outcome.cause = text;
      row.outcome.values.emplace_back(text, 1.0f);
      row.outcome.values.emplace_back("val/" + text, 1.0f);
      sweep.put(static_cast<size_t>(i), "metrics.jsonl",
                nlohmann::json{{"step", 0}, {"total", 1}, {text.substr(0, 2), 2}}.dump() + "\n");
      PictureFacts drawn = pictures("s");
      drawn.captions = {text, text}, drawn.rows = drawn.settings = text;
      keep_pictures(drawn, sweep.trial(static_cast<size_t>(i)));
    }
    sweep.results.sweep_text = text;
    sweep.results.rules.objective.metric = text;
    return sweep.page();
  };
  const std::string page = make(kHostile), plain = make("x");
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(page, Not(HasSubstr("\x1b")));
  EXPECT_THAT(page, Not(HasSubstr("<b></title>")));
  EXPECT_EQ(count(page, "</script"), count(plain, "</script")) << "a hostile text ended a script element";
  EXPECT_EQ(count(page, "<img"), count(plain, "<img"));
  const size_t data = page.find("id=\"data\">");
  EXPECT_THAT(page.substr(0, data), Not(HasSubstr("onerror='")));
}

TEST(SweepReport, refers_to_nothing_outside_itself_and_is_the_same_twice) {
  Sweep sweep;
  sweep.add("0.1", 0, 1.0f), sweep.add("0.2", 0, 2.0f);
  fs::create_directories(sweep.trial(0));
  keep_pictures(pictures("s"), sweep.trial(0));
  const std::string page = sweep.page();
  for (const char* outside : {"http:", "https:", "src=\"/", "@import", "url(", "<link", "fetch("})
    EXPECT_THAT(page, Not(HasSubstr(outside))) << outside;
  EXPECT_EQ(count(page, "src="), count(page, "src=\"data:image/png;base64,"));
  EXPECT_EQ(page, sweep.page());
}

TEST(SweepReport, five_hundred_trials_are_a_page_of_few_megabytes_that_says_what_it_leaves_out) {
  Sweep sweep;
  std::string metrics;
  for (int step = 0; step < 1000; ++step)
    metrics += R"({"step":)" + std::to_string(step) + R"(,"total":0.123456,"task":0.3})" + "\n";
  for (int i = 0; i < 500; ++i) {
    sweep.add(std::to_string(0.001 * (i + 1)), 0, static_cast<float>(i + 1));
    if (i < 61) sweep.put(static_cast<size_t>(i), "metrics.jsonl", metrics);
    if (i < 26) {
      fs::create_directories(sweep.trial(static_cast<size_t>(i)));
      keep_pictures(pictures("s"), sweep.trial(static_cast<size_t>(i)));
    }
  }
  const std::string page = sweep.page();
  EXPECT_LT(page.size(), size_t{3} << 20);
  EXPECT_EQ(count(page, "<tr data-trial="), 500u);
  EXPECT_THAT(page, HasSubstr("2 settings: not shown; these are the 24 best"));
  EXPECT_THAT(page, HasSubstr("1 more trial is not drawn: these are the 60 best"));
  EXPECT_THAT(page, HasSubstr("500 values in 8 parts"));
}

}  // namespace
}  // namespace espalier::report
