// What a dry run says of memory is what the run takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/rng.h"
#include "core/io/safetensors_writer.h"
#include "tests/support/distill_run.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::DistillRun;

constexpr double kMiB = 1 << 20;

/// A batch for the emoji teacher, of noise.
void write_batch(const std::filesystem::path& file, int64_t n) {
  io::MemoryTensorSource batch;
  uint64_t stream = 0;
  const auto add = [&](const char* name, const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng::normal(1, stream, i));
    batch.add_f32(name, shape, values);
    ++stream;
  };
  add("latents", {n, 12, 16, 16});
  add("noise", {n, 12, 16, 16});
  add("encoder_hidden_states", {n, 12, 64});
  add("text_embeds", {n, 128});
  batch.add_f32("time_ids", {n, 6}, std::vector<float>(static_cast<size_t>(n) * 6, 32));
  batch.add_f32("timestep", {n}, std::vector<float>(static_cast<size_t>(n), 500));
  io::write_safetensors(file, batch);
}

/// The MiB that follow `before` in a dry run's text.
double mib_after(const std::string& text, const std::string& before) {
  const size_t at = text.find(before);
  if (at == std::string::npos) return -1;
  size_t used = 0;
  const double value = std::stod(text.substr(at + before.size()), &used);
  return text.compare(at + before.size() + used, 4, " MiB") == 0 ? value : -1;
}

TEST(DistillMemory, a_dry_run_counts_and_measures_within_a_tenth_of_what_the_run_takes) {
  DistillRun run("memory");
  write_batch(run.path("batch.safetensors"), 16);
  run.write("recipe.toml", "[teacher]\nmodel = \"" ESPALIER_SOURCE_DIR
                           "/examples/emoji/teacher\"\n[data]\nsource = \"tensors\"\nfiles = [\"batch.safetensors\"]\n" +
                               std::string(DistillRun::kLosses) +
                               "[train]\nbatch_size = 16\n[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.ssd-1b\" }\n");
  for (const char* optimizer : {"adamw", "adamw8bit"}) {
    const std::string set = std::string("train.optimizer.use=") + optimizer;
    const CommandResult dry = run.run("none", {"--dry-run", "--set", set});
    ASSERT_EQ(dry.exit_code, 0) << dry.err;
    const CommandResult real = run.run(optimizer, {"--set", set});
    ASSERT_EQ(real.exit_code, 0) << real.err;
    const double counted = mib_after(dry.out, "sum"), measured = mib_after(dry.out, "peak memory "),
                 taken = static_cast<double>(real.peak_rss_bytes) / kMiB;
    std::printf("%s: counted %.1f MiB, measured %.1f MiB, taken %.1f MiB\n", optimizer, counted, measured, taken);
    EXPECT_NEAR(counted, taken, 0.1 * taken) << dry.out;
    EXPECT_NEAR(measured, taken, 0.1 * taken) << dry.out;
  }
}

}  // namespace
}  // namespace espalier
