// Which trial is next and how far it may go: on simulated workers, whose speeds and failures are drawn.

#include "core/sweep/choose.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <queue>

#include "core/base/rng.h"

namespace espalier::sweep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Objective kLower{"val/output", false, ""};
const StopRule kAsha{.use = "asha", .min_steps = 10, .reduction = 3};
const StopRule kMedian{.use = "median", .min_steps = 10, .min_trials = 3};

TrialState fresh(int64_t planned = 100) { return {.planned_steps = planned}; }
TrialState at(Curve curve, int64_t planned = 100) { return {.begun = true, .planned_steps = planned, .curve = std::move(curve)}; }

TEST(Rungs, grow_by_the_reduction_and_stay_below_the_end) {
  EXPECT_THAT(rungs(kAsha, 100), ElementsAre(10, 30, 90));
  EXPECT_THAT(rungs(kAsha, 90), ElementsAre(10, 30));
  EXPECT_THAT(rungs(kAsha, 10), IsEmpty());
  EXPECT_THAT(rungs(StopRule{}, 100), IsEmpty());
}

TEST(Candidates, without_a_rule_are_all_that_are_free_those_begun_first) {
  std::vector<TrialState> trials{fresh(), fresh(), fresh(), fresh()};
  trials[0].settled = true;
  trials[1].claimed = true;
  trials[3].begun = true;
  EXPECT_THAT(candidates(trials, StopRule{}, kLower), ElementsAre(3, 2));
}

TEST(Asha, sends_on_one_of_three_as_soon_as_three_are_there) {
  std::vector<TrialState> trials{at({{10, 0.3}}), at({{10, 0.1}}), at({{10, 0.2}}), fresh(), fresh(), fresh()};
  EXPECT_THAT(candidates(trials, kAsha, kLower), ElementsAre(1, 3, 4, 5));
  EXPECT_EQ(may_reach(1, trials, kAsha, kLower), 30);
  std::string why;
  EXPECT_EQ(may_reach(0, trials, kAsha, kLower, &why), 10);
  EXPECT_EQ(why, "not among the best 1 of 3 at rung 0 (step 10): val/output 0.3");
  trials[3] = at({{10, 0.01}});
  EXPECT_EQ(may_reach(3, trials, kAsha, kLower), 30) << "now the best of four";
}

TEST(Asha, a_rung_that_nobody_will_join_sends_its_best_on) {
  std::vector<TrialState> trials{at({{10, 0.3}}), at({{10, 0.1}})};
  EXPECT_THAT(candidates(trials, kAsha, kLower), ElementsAre(1)) << "two are fewer than the reduction";
  trials[1] = at({{10, 0.1}, {30, 0.1}, {90, 0.1}, {100, 0.1}});
  trials[1].settled = true;
  EXPECT_THAT(candidates(trials, kAsha, kLower), IsEmpty());
}

TEST(Asha, a_failed_trial_holds_nobody_up_and_a_number_that_is_none_is_the_worst) {
  std::vector<TrialState> trials{at({{10, std::nan("")}}), at({{10, 0.4}}), fresh()};
  trials[2].settled = true;
  EXPECT_THAT(candidates(trials, kAsha, kLower), ElementsAre(1));
}

TEST(Asha, the_larger_is_better_where_the_objective_says_so) {
  const std::vector<TrialState> trials{at({{10, 0.3}}), at({{10, 0.1}}), at({{10, 0.2}})};
  EXPECT_THAT(candidates(trials, kAsha, Objective{"val/psnr", true, ""}), ElementsAre(0));
}

TEST(Asha, a_validation_behind_a_rung_counts_for_it) {
  const std::vector<TrialState> trials{at({{8, 9.0}, {16, 0.3}}), at({{8, 0.0}, {16, 0.5}})};
  EXPECT_THAT(candidates(trials, kAsha, kLower), ElementsAre(0));
}

TEST(Median, stops_who_was_never_better_than_the_median_of_the_others_so_far) {
  std::vector<TrialState> trials{at({{10, 0.1}, {20, 0.1}}), at({{10, 0.2}, {20, 0.2}}), at({{10, 0.3}, {20, 0.1}}),
                                 at({{10, 0.5}, {20, 0.25}})};
  std::string why;
  EXPECT_EQ(may_reach(3, trials, kMedian, kLower, &why), 20);
  EXPECT_THAT(why, HasSubstr("at best 0.25 by step 20, and the median of 3 others 0.2"));
  EXPECT_EQ(may_reach(1, trials, kMedian, kLower), kToTheEnd) << "equal to the median";
  trials[3].curve = {{5, 0.5}};
  EXPECT_EQ(may_reach(3, trials, kMedian, kLower), kToTheEnd) << "before min_steps";
  trials.erase(trials.begin());
  trials[2].curve = {{10, 0.5}, {20, 0.4}};
  EXPECT_EQ(may_reach(2, trials, kMedian, kLower), kToTheEnd) << "two others are too few";
}

/// Workers take candidates, run them to where they may go, validating every five steps, and die now and then.
struct Simulation {
  std::vector<TrialState> trials;
  std::vector<double> quality;  // the objective falls to it
  double noise = 0;             // what a validation adds: curves cross
  int64_t steps = 0, complete = 0;
  uint64_t seed;

  Simulation(size_t count, uint64_t of) : trials(count, fresh(270)), seed(of) {
    for (size_t i = 0; i < count; ++i) quality.push_back(rng::uniform(seed, 1, i));
  }
  double value(size_t trial, int64_t step) const {
    return quality[trial] + std::exp(-static_cast<double>(step) / 40) +
           noise * rng::uniform(seed, 100 + trial, static_cast<uint64_t>(step));
  }

  void run(size_t workers, const StopRule& stop) {
    struct Running {
      double until;
      size_t trial;
      int64_t step;
      bool operator<(const Running& other) const { return until > other.until; }
    };
    std::priority_queue<Running> running;
    double now = 0;
    for (uint64_t draw = 0;; ++draw) {
      ASSERT_LT(draw, 100000u) << "the sweep does not end";
      while (running.size() < workers) {
        const std::vector<size_t> free = candidates(trials, stop, kLower);
        if (free.empty()) break;
        TrialState& trial = trials[free[0]];
        trial.claimed = trial.begun = true;
        running.push({now + 1 + rng::uniform(seed, 2, draw * 64 + running.size()), free[0],
                      trial.curve.empty() ? 0 : trial.curve.back().first});
      }
      if (running.empty()) return;
      Running next = running.top();
      running.pop();
      now = next.until;
      TrialState& trial = trials[next.trial];
      if (rng::uniform(seed, 3, draw) < 0.05) {  // killed: somebody takes it up from its last validation
        trial.claimed = false;
        continue;
      }
      next.step += 5, steps += 5;
      trial.curve.emplace_back(next.step, value(next.trial, next.step));
      if (next.step >= trial.planned_steps) {
        trial.settled = true, trial.claimed = false, ++complete;
      } else if (may_reach(next.trial, trials, stop, kLower) <= next.step) {
        trial.claimed = false;
        trial.settled = stop.use == "median";
      } else {
        next.until = now + 1 + rng::uniform(seed, 4, draw);
        running.push(next);
      }
    }
  }
};

TEST(Asha, always_ends_finds_the_best_of_curves_that_do_not_cross_and_takes_under_half_of_the_steps) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const size_t count = 1 + seed % 30;
    Simulation simulation(count, seed);
    simulation.run(1 + seed % 5, kAsha);
    const auto best = std::min_element(simulation.quality.begin(), simulation.quality.end()) - simulation.quality.begin();
    EXPECT_TRUE(simulation.trials[static_cast<size_t>(best)].settled) << "seed " << seed << ": the best is not complete";
    EXPECT_GE(simulation.complete, 1);
    if (count >= 9) {
      EXPECT_LT(simulation.steps, static_cast<int64_t>(count) * 270 / 2) << "seed " << seed;
    }
  }
}

TEST(Asha, always_has_a_complete_trial_however_curves_cross) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Simulation simulation(1 + seed % 20, seed);
    simulation.noise = seed % 3 == 0 ? 0.3 : 2;
    simulation.run(1 + seed % 4, kAsha);
    EXPECT_GE(simulation.complete, 1) << "seed " << seed;
  }
}

TEST(Asha, one_that_was_sent_on_stays_sent_on) {
  // The first was the best of three and went on; three that came later are better at its first rung.
  std::vector<TrialState> trials{
      at({{10, 0.30}, {30, 0.3}}), at({{10, 0.4}}), at({{10, 0.5}}), at({{10, 0.1}}), at({{10, 0.2}}), at({{10, 0.25}})};
  EXPECT_THAT(candidates(trials, kAsha, kLower), ElementsAre(3, 4)) << "two of six, and the first besides";
  trials[3].curve = trials[4].curve = {{10, 0.1}, {30, 0.9}};
  EXPECT_THAT(candidates(trials, kAsha, kLower), ElementsAre(0)) << "the best at the second rung";
}

TEST(Asha, one_that_has_made_every_step_is_not_held_back) {
  EXPECT_EQ(may_reach(0, {at({{100, 0.9}}), at({{100, 0.1}})}, kAsha, kLower), kToTheEnd);
  EXPECT_THAT(candidates({at({{100, 0.9}}), at({{100, 0.1}})}, kAsha, kLower), ElementsAre(0, 1));
}

TEST(Asha, equal_values_go_on_together) {
  const std::vector<TrialState> trials{at({{10, 0.3}}), at({{10, 0.3}}), at({{10, 0.3}}), at({{10, 0.4}})};
  EXPECT_THAT(candidates(trials, kAsha, kLower), ElementsAre(0, 1, 2)) << "stages that they share give the same number";
}

TEST(Median, always_ends_completes_the_best_and_saves_steps) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Simulation simulation(12, seed);
    simulation.run(2, kMedian);
    const auto best = std::min_element(simulation.quality.begin(), simulation.quality.end()) - simulation.quality.begin();
    EXPECT_EQ(simulation.trials[static_cast<size_t>(best)].curve.back().first, 270) << seed;
    EXPECT_LT(simulation.steps, 12 * 270);
  }
}

}  // namespace
}  // namespace espalier::sweep
