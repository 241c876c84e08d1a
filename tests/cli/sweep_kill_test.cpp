// A tenth of sweep_kill_full_test.

#include "tests/support/sweep_kill.h"

namespace espalier::testing {

TEST(SweepKill, fifty_toy_trials_under_kills_and_stalls_are_those_of_a_sweep_in_peace) {
  break_toy_sweep("sweep_toys", 50, 8, {.kills = 10, .stalls = 2, .mean_pause_ms = 250});
}

TEST(SweepKill, five_kills_of_an_emoji_sweep_change_no_bit) {
  break_emoji_sweep("sweep_emoji", 3, {.kills = 5, .mean_pause_ms = 1500});
}

}  // namespace espalier::testing
