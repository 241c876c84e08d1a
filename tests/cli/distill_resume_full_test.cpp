// A hundred kills; ten of them run with every change (distill_resume_test).

#include "tests/support/distill_kill.h"

namespace espalier {
namespace {

TEST(DistillResumeFull, a_hundred_kills_at_random_moments_change_no_bit) { testing::kill_often("kill100", 100); }

}  // namespace
}  // namespace espalier
