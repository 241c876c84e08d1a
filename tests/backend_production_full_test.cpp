// Every distinct call of SDXL at latent 64x64, and of SD 1.5 at a size that halves unevenly.

#include "tests/support/production_shapes.h"

namespace espalier {
namespace {

void expect_all(const char* config, int64_t latent) {
  const auto backend = testing::open_backend("cpu", {});
  for (const auto& c : testing::distinct_calls(config, latent, *backend)) testing::expect_equals_reference(backend, c);
}

TEST(CpuProductionFull, every_call_of_sdxl_equals_the_reference) { expect_all("sdxl-base-unet.json", 64); }
TEST(CpuProductionFull, every_call_of_sd15_at_an_odd_size_equals_the_reference) { expect_all("sd15-unet.json", 37); }

}  // namespace
}  // namespace espalier
