// The recorded distillation case on the cpu backend.

#include "tests/support/distill_golden.h"

namespace espalier {
namespace {

TEST(DistillGolden, five_steps_equal_pytorch_and_diffusers) { testing::expect_distill_golden(testing::open_backend("cpu", {})); }

}  // namespace
}  // namespace espalier
