// Sweeps whose trials a program chooses, through the command line, with small programs that this file writes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "core/base/rng.h"
#include "core/sweep/store.h"
#include "tests/support/distill_kill.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;
using testing::CommandResult;
using testing::DistillRun;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// Answers with random settings; keeps what it reads in heard.jsonl. `answer(n)` makes the n-th line of this process, from 0.
constexpr const char* kProgram = R"(#!/usr/bin/env python3
import json, os, random, sys, time
here = os.path.dirname(os.path.abspath(__file__))
heard = open(os.path.join(here, "heard.jsonl"), "a")
hello = None
def settings():
    made = {}
    for axis in hello["axes"]:
        kind = axis["kind"]
        made[axis["path"]] = (random.choice(axis["choices"]) if kind == "choice" else
            random.randint(axis["low"], axis["high"]) if kind == "integer" else random.uniform(axis["low"], axis["high"]))
    return made
def answer(n):
    return json.dumps({"settings": settings()})
#MORE
print("this is stderr", file=sys.stderr, flush=True)
n = 0
for line in sys.stdin:
    heard.write(line); heard.flush()
    message = json.loads(line)
    if "hello" in message:
        hello = message
        random.seed(hello["seed"] + len(hello["known"]))
    elif "ask" in message:
        print(answer(n), flush=True)
        n += 1
)";

constexpr const char* kAxes =
    "\"train.optimizer.lr\" = { log_uniform = [1e-5, 1e-3] }\n"
    "\"loss.1.weight\" = { uniform = [0, 2] }\n"
    "\"train.seed\" = { integer = [1, 1000000] }\n";

class SearchTest : public ::testing::Test {
 protected:
  SearchTest() : run_(std::string("search_") + ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    run_.write_recipe("[train]\nsteps = 2\nbatch_size = 2\n");
    program();
  }

  void program(const std::string& more = "") const {
    std::string text = kProgram;
    text.replace(text.find("#MORE"), 5, more);
    run_.write("search.py", text);
    fs::permissions(run_.path("search.py"), fs::perms::owner_all);
  }
  void sweep_file(int trials, const std::string& axes = kAxes, const std::string& top = "", const std::string& rest = "") const {
    run_.write("sweep.toml", "base = \"recipe.toml\"\nsearch = \"exec:search.py\"\ntrials = " + std::to_string(trials) + "\n" +
                                 top + "[random]\n" + axes + "[objective]\nmetric = \"output\"\n[workers]\nreports = false\n" +
                                 rest);
  }
  std::vector<std::string> words(std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"sweep", run_.path("sweep.toml").string(), "--out", run_.path("s").string(), "--allow-exec"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  CommandResult sweep(std::vector<std::string> more = {}) const { return testing::run_espalier(words(std::move(more))); }
  Store store() const { return Store(run_.path("s")); }
  std::vector<Json> heard(const std::string& key) const {
    std::ifstream file(run_.path("heard.jsonl"));
    std::vector<Json> messages;
    for (std::string line; std::getline(file, line);)
      if (const Json json = Json::parse(line); json.contains(key)) messages.push_back(json[key].is_object() ? json[key] : json);
    return messages;
  }
  /// Each trial of the list once, each with this state.
  void expect_all(size_t count, const std::string& state = "complete") const {
    std::set<std::string> ids;
    for (const Trial& trial : store().trials()) {
      ids.insert(trial.id);
      ASSERT_TRUE(store().outcome(trial.id).has_value()) << trial.id;
      EXPECT_EQ(store().outcome(trial.id)->state, state) << store().outcome(trial.id)->cause;
    }
    EXPECT_EQ(ids.size(), count);
    EXPECT_EQ(store().trials().size(), count);
  }

  DistillRun run_;
};

TEST_F(SearchTest, a_program_gets_its_axes_chooses_every_trial_and_is_told_what_became_of_it) {
  sweep_file(5, std::string("seed = 3\n") + kAxes);
  const CommandResult result = sweep({"--jobs", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_all(5);
  ASSERT_EQ(heard("hello").size(), 1u);
  const Json hello = heard("hello")[0];
  EXPECT_EQ(hello["goal"], "minimize");
  EXPECT_EQ(hello["metric"], "output");
  EXPECT_EQ(hello["seed"], 3);
  EXPECT_EQ(hello["trials"], 5);
  EXPECT_EQ(hello["known"], Json::array());
  EXPECT_EQ(hello["axes"][0], Json::parse(R"({"path":"train.optimizer.lr","kind":"log_uniform","low":1e-5,"high":1e-3})"));
  EXPECT_EQ(hello["axes"][2], Json::parse(R"({"path":"train.seed","kind":"integer","low":1,"high":1000000})"));
  ASSERT_EQ(heard("ask").size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(heard("ask")[i]["ask"], i + 1);
  const std::vector<Trial> trials = store().trials();
  for (const Json& told : heard("tell")) {
    const Trial& trial = trials.at(told["trial"].get<size_t>() - 1);
    EXPECT_EQ(told["state"], "complete");
    EXPECT_EQ(told["steps"], 2);
    const Outcome outcome = *store().outcome(trial.id);
    const auto value =
        std::find_if(outcome.values.begin(), outcome.values.end(), [](const auto& v) { return v.first == "output"; });
    EXPECT_EQ(told["value"].get<double>(), static_cast<double>(value->second));
    EXPECT_EQ(told["settings"]["train.optimizer.lr"].get<double>(), std::stod(trial.settings[0].second));
  }
  EXPECT_GE(heard("tell").size(), 4u) << "the last one may end when nothing more is asked";
  EXPECT_THAT(result.out, HasSubstr("lr="));
}

TEST_F(SearchTest, numbers_are_told_back_digit_for_digit) {
  program(
      "def answer(n):\n    return '{\"settings\":{\"train.optimizer.lr\":0.00012345678901234567,\"loss.1.weight\":%d,"
      "\"train.seed\":7}}' % n\n");
  sweep_file(2);
  ASSERT_EQ(sweep().exit_code, 0);
  ASSERT_FALSE(heard("tell").empty());
  EXPECT_EQ(heard("tell")[0]["settings"], Json::parse(R"({"train.optimizer.lr":0.00012345678901234567,"loss.1.weight":0.0,
                                                          "train.seed":7})"));
}

TEST_F(SearchTest, a_choice_may_be_a_table_and_a_recipe_that_cannot_be_run_is_a_failed_trial_that_is_told) {
  run_.write_recipe("[train]\nbatch_size = 2\n[[stage]]\nsteps = 2\n");
  program(
      "def answer(n):\n    c = hello['axes'][0]['choices']\n    return json.dumps({'settings': {'stage.0.prune': c[min(n, 2)], "
      "'train.seed': n + 1}})\n");
  const std::string table = "{ use = \"espalier.prune.blocks\", remove = [\"mid_block.attentions.0\", \"mid_block.resnets.1\"] }";
  sweep_file(4,
             "\"stage.0.prune\" = { choice = [" + table +
                 ", { use = \"espalier.prune.nothing\" }, { use = \"espalier.prune.blocks\", remove = [\"no.such.block\"] }] }\n"
                 "\"train.seed\" = { integer = [1, 9] }\n");
  const CommandResult result = sweep();
  EXPECT_EQ(result.exit_code, 1) << result.err;
  const std::vector<Trial> trials = store().trials();
  ASSERT_EQ(trials.size(), 4u);
  EXPECT_THAT(trials[0].settings[0].second, HasSubstr("mid_block.attentions.0"));
  EXPECT_EQ(store().outcome(trials[0].id)->state, "complete");
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(store().outcome(trials[i].id)->state, "failed");
  EXPECT_THAT(store().outcome(trials[1].id)->cause, HasSubstr("espalier.prune.nothing"));
  EXPECT_THAT(store().outcome(trials[2].id)->cause, HasSubstr("no.such.block"));
  const std::vector<Json> told = heard("tell");
  ASSERT_GE(told.size(), 3u);
  EXPECT_EQ(told[0]["state"], "complete");
  EXPECT_EQ(told[0]["settings"]["stage.0.prune"]["remove"][1], "mid_block.resnets.1");
  EXPECT_EQ(told[1]["state"], "failed");
  EXPECT_FALSE(told[1].contains("value"));
  // And the same command has nothing to do, --retry-failed included.
  EXPECT_EQ(sweep({"--retry-failed"}).exit_code, 1);
  EXPECT_EQ(store().trials().size(), 4u);
}

TEST_F(SearchTest, a_program_that_is_done_ends_the_sweep_early) {
  program("def answer(n):\n    return '{\"done\": true}' if n == 2 else json.dumps({'settings': settings()})\n");
  sweep_file(9);
  const CommandResult result = sweep();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("asks for no more than 2 trials of 9"));
  expect_all(2);
}

/// One good trial, then `answer`; it ends the search and nothing else.
struct BadProgram {
  const char* name;
  const char* answer;  // a Python statement
  const char* said;
};
class BadSearchTest : public SearchTest, public ::testing::WithParamInterface<BadProgram> {};

TEST_P(BadSearchTest, it_is_given_up_by_name_and_the_trial_that_runs_is_not_lost) {
  program(std::string("def answer(n):\n    good = settings()\n    if n == 0: return json.dumps({'settings': good})\n    ") +
          GetParam().answer + "\n    return json.dumps({'settings': good})\n");
  sweep_file(2, std::string(kAxes), "search_timeout = 5\n");
  const CommandResult result = sweep({"--jobs", "2"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr(run_.path("search.py").string()));
  EXPECT_THAT(result.err, HasSubstr(GetParam().said));
  EXPECT_THAT(result.err, HasSubstr("its last line of stderr: "));
  expect_all(1);
  // The same command with a program that is sound goes on.
  program();
  fs::remove(run_.path("heard.jsonl"));
  EXPECT_EQ(sweep({"--jobs", "2"}).exit_code, 0);
  expect_all(2);
  EXPECT_EQ(heard("hello")[0]["known"].size(), 1u);
  EXPECT_EQ(heard("hello")[0]["known"][0]["state"], "complete");
}

INSTANTIATE_TEST_SUITE_P(
    Search, BadSearchTest,
    ::testing::Values(
        BadProgram{"dies", "sys.exit('out of ideas')",
                   "ended with exit code 1 although a trial was asked for; its last line of stderr: out of ideas"},
        BadProgram{"is_killed", "os.kill(os.getpid(), 9)", "ended with signal 9"},
        BadProgram{"writes_no_json", "return 'lr=3'", "answered what is no JSON: lr=3"},
        BadProgram{"writes_a_number", "return '5'", "answered neither settings nor done: 5"},
        BadProgram{"writes_deep_json", "return '[' * 100000", "answered what is no JSON"},
        BadProgram{"sets_no_axis", "good['train.optimiser.lr'] = 1",
                   "'train.optimiser.lr', which is no axis; did you mean 'train.optimizer.lr'?"},
        BadProgram{"leaves_an_axis_out", "del good['train.seed']", "nothing for 'train.seed'"},
        BadProgram{"leaves_the_range", "good['loss.1.weight'] = 2.5", "'loss.1.weight' = 2.5, which is not from 0 to 2"},
        BadProgram{"writes_a_string", "good['loss.1.weight'] = '1'", "'loss.1.weight' = \"1\", and it takes a number"},
        BadProgram{"writes_a_fraction", "good['train.seed'] = 2.5", "'train.seed' = 2.5, and it takes an integer"},
        BadProgram{"writes_nan", "good['loss.1.weight'] = float('nan')", "answered what is no JSON"},
        BadProgram{"says_nothing", "time.sleep(100)", "gave no answer within 5 s"},
        BadProgram{"never_ends_its_line", "sys.stdout.write('x' * (3 << 20)); sys.stdout.flush(); time.sleep(100)",
                   "without an end of line"},
        BadProgram{"closes_its_stdout", "os.close(1); time.sleep(100)", "closed its stdout"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(SearchTest, what_was_asked_for_before_is_asked_again_ten_times) {
  program("def answer(n):\n    return json.dumps({'settings': {'train.seed': 1 if n < 11 else 2}})\n");
  sweep_file(2, "\"train.seed\" = { integer = [1, 2] }\n");
  const CommandResult result = sweep();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_all(2);
  EXPECT_EQ(heard("ask").size(), 12u);
  const std::vector<Json> told = heard("tell");
  ASSERT_GE(told.size(), 11u);
  EXPECT_EQ(told[5]["state"], "duplicate");
  EXPECT_EQ(told[5]["trial"], 2);
  EXPECT_EQ(told[5]["of"], 1);
  EXPECT_EQ(told[5]["value"], told[0]["value"]);
}

TEST_F(SearchTest, a_program_that_only_repeats_itself_is_given_up) {
  program("def answer(n):\n    return json.dumps({'settings': {'train.seed': 1}})\n");
  sweep_file(2, "\"train.seed\" = { integer = [1, 2] }\n");
  const CommandResult result = sweep();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("asked 11 times in a row for a trial that there is already, lastly 'seed=1'"));
  expect_all(1);
}

TEST_F(SearchTest, no_program_is_started_without_allow_exec) {
  sweep_file(3);
  std::vector<std::string> without = words();
  without.pop_back();
  const CommandResult result = testing::run_espalier(without);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr(run_.path("search.py").string()));
  EXPECT_THAT(result.err, HasSubstr("--allow-exec"));
  EXPECT_FALSE(fs::exists(run_.path("heard.jsonl")));
  EXPECT_FALSE(fs::exists(run_.path("s")));
}

TEST_F(SearchTest, a_program_that_cannot_be_started_is_the_users_to_mend) {
  sweep_file(2);
  fs::permissions(run_.path("search.py"), fs::perms::owner_read);
  run_.write("search.py.txt", "");
  const CommandResult result = sweep();
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("cannot be started: Permission denied"));
  EXPECT_THAT(result.err, HasSubstr("#!/usr/bin/env python3"));
}

TEST_F(SearchTest, a_dry_run_shows_the_axes_and_starts_nothing) {
  sweep_file(7);
  std::vector<std::string> dry{"sweep", run_.path("sweep.toml").string(), "--dry-run"};
  const CommandResult result = testing::run_espalier(dry);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* text :
       {"trials  7", "train.optimizer.lr  log_uniform from 1e-05 to 0.001", "loss.1.weight  uniform", "base", "memory"})
    EXPECT_THAT(result.out, HasSubstr(text));
  EXPECT_FALSE(fs::exists(run_.path("heard.jsonl")));
}

TEST_F(SearchTest, more_trials_may_be_asked_for_and_other_axes_only_with_extend) {
  sweep_file(2);
  ASSERT_EQ(sweep().exit_code, 0);
  sweep_file(3);
  ASSERT_EQ(sweep().exit_code, 0);
  expect_all(3);
  EXPECT_EQ(heard("hello")[1]["known"].size(), 2u);
  const std::string other = "\"train.optimizer.lr\" = { log_uniform = [1e-6, 1e-3] }\n";
  sweep_file(4, other);
  const CommandResult refused = sweep();
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--extend"));
  EXPECT_EQ(sweep({"--extend"}).exit_code, 0);
  expect_all(4);
  EXPECT_EQ(heard("hello")[2]["known"], Json::array()) << "settings of other axes mean nothing to the program";
  EXPECT_EQ(sweep().exit_code, 0);
  sweep_file(4, other, "", "[stop]\nuse = \"asha\"\nmin_steps = 1\n");
  EXPECT_THAT(sweep().err, HasSubstr("asha"));
  run_.write_recipe("[train]\nsteps = 3\nbatch_size = 2\n");
  sweep_file(4, other);
  EXPECT_EQ(sweep().exit_code, 2) << "the base recipe is another";
}

TEST_F(SearchTest, two_uninterrupted_sweeps_with_one_job_choose_the_same_trials) {
  sweep_file(4);
  ASSERT_EQ(sweep().exit_code, 0);
  const std::vector<Trial> first = store().trials();
  fs::remove_all(run_.path("s"));
  ASSERT_EQ(sweep().exit_code, 0);
  EXPECT_EQ(store().trials(), first);
}

/// `espalier sweep` in a process group of its own, as a shell starts it; stderr goes to `log`.
class Started {
 public:
  Started(std::vector<std::string> words, const fs::path& log) {
    words.insert(words.begin(), ESPALIER_BUILD_DIR "/bin/espalier");
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    setpgid(0, 0);
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    dup2(open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  bool ended() { return ended_ = ended_ || waitpid(pid_, &status_, WNOHANG) == pid_; }
  /// Sends a signal to it alone, or to its group, and waits for its end.
  int signal(int number, bool group) {
    if (!ended()) kill(group ? -pid_ : pid_, number);
    if (!ended_) waitpid(pid_, &status_, 0);
    ended_ = true;
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

TEST_F(SearchTest, ctrl_c_keeps_what_is_there_and_does_not_blame_the_program) {
  sweep_file(4);
  Started process(words(), run_.path("err.txt"));
  while (!process.ended() && !(store().exists() && store().trials().size() >= 2))
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const int status = process.signal(SIGINT, true);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_THAT(run_.bytes("err.txt"), HasSubstr("the same command goes on"));
  EXPECT_THAT(run_.bytes("err.txt"), ::testing::Not(HasSubstr("search.py")));
  ASSERT_EQ(sweep().exit_code, 0);
  expect_all(4);
}

TEST_F(SearchTest, a_trial_that_the_median_rule_stops_is_told_with_its_value_so_far) {
  // An unchanged student is the teacher: whatever a large rate does to it is worse than what a tiny one does.
  run_.write_recipe("[train]\nsteps = 4\nbatch_size = 2\nvalidate_every = 1\n", testing::small_cache(run_));
  program("def answer(n):\n    return json.dumps({'settings': {'train.optimizer.lr': [1e-7, 1e-2][n]}})\n");
  sweep_file(2, "\"train.optimizer.lr\" = { log_uniform = [1e-7, 1e-2] }\n");
  std::string text = run_.bytes("sweep.toml");
  text.replace(text.find("\"output\""), 8, "\"val/output\"");
  run_.write("sweep.toml", text + "[stop]\nuse = \"median\"\nmin_steps = 2\nmin_trials = 1\n");
  const CommandResult result = sweep();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Trial second = store().trials().at(1);
  EXPECT_EQ(store().outcome(second.id)->state, "pruned");
  const std::vector<Json> told = heard("tell");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1]["state"], "pruned");
  EXPECT_EQ(told[1]["steps"], 2);
  EXPECT_GT(told[1]["value"].get<double>(), told[0]["value"].get<double>());
}

TEST_F(SearchTest, ten_kills_of_a_search_lose_no_trial_and_repeat_none) {
  sweep_file(12);
  int kills = 0;
  std::vector<Trial> before;
  for (uint64_t round = 0; kills < 10; ++round) {
    Started process(words({"--jobs", "2", "--quiet"}), run_.path("err.txt"));
    // Some before the next trial is asked for, most while it is added, begun or trained.
    const size_t until = before.size() + (round % 3 == 0 ? 0 : 1);
    while (!process.ended() && !(store().exists() && store().trials().size() >= until))
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(static_cast<int>(400 * rng::uniform(11, 1, round))));
    ASSERT_FALSE(process.ended()) << "round " << round << ": " << run_.bytes("err.txt");
    process.signal(SIGKILL, false);
    ++kills;
    const std::vector<Trial> now = store().trials();
    ASSERT_GE(now.size(), before.size());
    for (size_t i = 0; i < before.size(); ++i) ASSERT_EQ(now[i], before[i]) << "kill " << kills;
    before = now;
  }
  const size_t at_last_kill = before.size();
  const CommandResult result = sweep({"--jobs", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_all(12);
  for (const Trial& trial : store().trials()) {
    std::set<int64_t> steps;
    std::ifstream metrics(store().trial(trial.id) / "metrics.jsonl");
    for (std::string row; std::getline(metrics, row);) EXPECT_TRUE(steps.insert(Json::parse(row)["step"].get<int64_t>()).second);
    EXPECT_EQ(steps.size(), 2u) << trial.id;
  }
  std::printf("%d kills, %zu trials after the last one, %zu processes of the program\n", kills, at_last_kill,
              heard("hello").size());
}

}  // namespace
}  // namespace espalier::sweep
