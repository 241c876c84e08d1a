#include "tests/support/sweep_kill.h"

namespace espalier::testing {

TEST(SweepKillFull, five_hundred_toy_trials_under_a_hundred_kills_and_twenty_stalls_are_those_of_a_sweep_in_peace) {
  break_toy_sweep("sweep_toys_full", 500, 8, {.kills = 100, .stalls = 20, .seed = 2});
}

TEST(SweepKillFull, twenty_kills_of_an_emoji_sweep_change_no_bit) {
  break_emoji_sweep("sweep_emoji_full", 8, {.kills = 20, .seed = 2});
}

}  // namespace espalier::testing
