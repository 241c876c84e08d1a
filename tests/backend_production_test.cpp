// A tenth of the distinct calls of SDXL at latent 64x64, spread over the model; backend_production_full_test runs them all.

#include "tests/support/production_shapes.h"

namespace espalier {
namespace {

TEST(CpuProduction, every_tenth_call_of_sdxl_equals_the_reference) {
  const auto backend = testing::open_backend("cpu", {});
  const auto calls = testing::distinct_calls("sdxl-base-unet.json", 64, *backend);
  ASSERT_GT(calls.size(), 50u);
  for (size_t i = 0; i < calls.size(); i += 10) testing::expect_equals_reference(backend, calls[i]);
}

TEST(CpuProduction, no_call_of_sdxl_is_left_to_the_reference) {
  const auto backend = testing::open_backend("cpu", {});
  for (const auto& c : testing::distinct_calls("sdxl-base-unet.json", 64, *backend))
    EXPECT_TRUE(backend->support(c.call, c.path, c.params).accepted) << testing::text_of(c.call) << " at " << c.path;
}

}  // namespace
}  // namespace espalier
