#pragma once
// `espalier distill --dry-run` of the example's recipe, SDXL → SSD-1B at 1024 pixels: a teacher with SDXL's structure, whose
// weights are a hole in a file, and a cache of empty latents.

#include "core/data/cache_writer.h"
#include "tests/support/run_command.h"
#include "tests/support/sparse_model.h"
#include "tests/support/tiny_cache.h"

namespace espalier::testing {

class SdxlRun : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    write_sparse_model(folder_ / "sdxl" / "unet", ESPALIER_SOURCE_DIR "/tests/configs/sdxl-base-unet.json");
    data::CacheInfo info;
    info.codec = "vae", info.channels = 4, info.tokens = 77, info.embedding = 2048, info.pooled = 1280, info.source = "made up";
    data::CacheWriter writer(folder_ / "cache", info, DType::kF16);
    const auto zeros = [](const Shape& shape) {
      return exec::FloatTensor{shape, std::vector<float>(static_cast<size_t>(shape.elements()))};
    };
    const data::Conditioning conditioning{zeros({77, 2048}), zeros({1280}), zeros({6})};
    for (int row = 0; row < 34; ++row) writer.add(std::to_string(row), "", zeros({128, 128, 4}), conditioning);
    writer.finish({zeros({77, 2048}), zeros({1280}), {}});
  }

  /// On the cuda backend of `plugin`, a file of the build tree's test_plugins.
  CommandResult dry_run(const std::string& plugin, std::vector<std::string> more,
                        const std::vector<std::string>& environment = {}) const {
    const std::string recipe = ESPALIER_SOURCE_DIR "/examples/real-sdxl/ssd-1b-cuda.toml";
    std::vector<std::string> words{kEspalier,
                                   "distill",
                                   recipe,
                                   "--set",
                                   "teacher.model=" + (folder_ / "sdxl").string(),
                                   "--set",
                                   "data.path=" + (folder_ / "cache").string(),
                                   "--plugin",
                                   std::string(ESPALIER_BUILD_DIR "/test_plugins/") + plugin,
                                   "--backend",
                                   "cuda",
                                   "--dry-run"};
    words.insert(words.end(), more.begin(), more.end());
    return run_command(words, environment, 600);
  }
};

}  // namespace espalier::testing
