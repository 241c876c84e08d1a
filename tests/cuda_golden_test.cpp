// Every recorded case on the cuda backend, its kernels run on the host and a double in place of NVIDIA's libraries: within the
// tolerances of the cpu backend, and every call on the device.

#include "tests/support/distill_golden.h"
#include "tests/support/golden_case.h"

namespace espalier {
namespace {

std::shared_ptr<lower::Backend> cuda() { return testing::open_backend("cuda", {}, testing::kCudaDouble); }

class CudaGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(CudaGolden, forward) { testing::expect_golden(GetParam(), {.backend = cuda(), .strict = true}); }

INSTANTIATE_TEST_SUITE_P(Cases, CudaGolden, ::testing::ValuesIn(testing::golden_cases()), testing::test_name);

TEST(CudaDistillGolden, five_steps_equal_pytorch_and_diffusers) { testing::expect_distill_golden(cuda()); }

}  // namespace
}  // namespace espalier
