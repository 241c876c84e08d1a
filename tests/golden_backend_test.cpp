// Every golden case on the reference and on the cpu plugin, with packed and with mapped weights.

#include "tests/support/golden_case.h"
#include "tests/support/one_op.h"

namespace espalier {
namespace {

using testing::expect_golden;

std::shared_ptr<lower::Backend> cpu() { return testing::open_backend("cpu", {}); }

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, reference) { expect_golden(GetParam(), {}); }
TEST_P(Golden, cpu_packed) { expect_golden(GetParam(), {.backend = cpu()}); }
TEST_P(Golden, cpu_mapped) { expect_golden(GetParam(), {.backend = cpu(), .mapped = true}); }
TEST_P(Golden, cpu_with_every_gate_open) { expect_golden(GetParam(), {.backend = cpu()}, true); }

INSTANTIATE_TEST_SUITE_P(Cases, Golden, ::testing::ValuesIn(testing::golden_cases()), testing::test_name);

}  // namespace
}  // namespace espalier
