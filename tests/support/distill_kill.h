#pragma once
// Killing runs of `espalier distill` and comparing what comes of them.

#include <gtest/gtest.h>

#include <thread>

#include "core/base/rng.h"
#include "tests/support/distill_run.h"
#include "tests/support/tiny_cache.h"

namespace espalier::testing {

inline constexpr int kResumeSteps = 8;

/// A cache of twelve rows, four of them held out, as [data].
inline std::string small_cache(const DistillRun& run) {
  write_tiny_cache(run.path("cache"), {.rows = {12}, .channels = 4, .tokens = 5, .embedding = 24, .pooled = 16, .codec = "vae"});
  return "[data]\nsource = \"cache\"\npath = \"cache\"\nvalidation_rows = 4\ncaption_dropout = 0.2\n";
}

/// Two stages, the second with a gate that fails until nothing is left to remove, EMA, held-out rows, a checkpoint at every
/// second step.
inline void write_resume_recipe(const DistillRun& run) {
  run.write_recipe(
      "[train]\nbatch_size = 2\ncheckpoint_every = 2\nvalidate_every = 1\nclip_norm = 1.0\nseed = 3\n[train.ema]\ndecay = 0.99\n"
      "[train.lr_schedule]\nuse = \"cosine\"\nwarmup = 2\n"
      "[[stage]]\nsteps = 4\nprune = { use = \"espalier.prune.blocks\", remove = "
      "[\"up_blocks.1.attentions.*.transformer_blocks.1\"] }\n"
      "[[stage]]\nsteps = 2\nprune = { use = \"espalier.prune.blocks\", remove = "
      "[\"up_blocks.0.attentions.*.transformer_blocks.0\"] }\nuntil = { metric = \"val/output\", below = 1e-30 }\n",
      small_cache(run));
}

/// The rows of steps, without those of held-out batches.
inline size_t steps_of(const DistillRun& run, const std::string& out) {
  size_t steps = 0;
  for (const auto& row : run.rows(out)) steps += row.contains("total") ? 1 : 0;
  return steps;
}

/// Starts the run and kills it after `ms`; true when it had ended by itself before.
inline bool run_and_kill(const DistillRun& run, const std::string& out, double ms) {
  const std::string recipe_file = run.path("recipe.toml").string(), folder = run.path(out).string();
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO), dup2(null, STDERR_FILENO);
    execl(ESPALIER_BUILD_DIR "/bin/espalier", "espalier", "distill", recipe_file.c_str(), "--out", folder.c_str(), "--resume",
          nullptr);
    _exit(127);
  }
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms));
  int status = 0;
  const bool ended = waitpid(child, &status, WNOHANG) == child;
  if (ended) {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "a resumed run ended by itself with status " << status;
    return true;
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return false;
}

inline void expect_same_run(const DistillRun& run, const std::string& a, const std::string& b) {
  EXPECT_EQ(run.bytes(a + "/metrics.jsonl"), run.bytes(b + "/metrics.jsonl"));
  EXPECT_EQ(run.bytes(run.weights_of(a)), run.bytes(run.weights_of(b)));
  EXPECT_EQ(run.bytes(a + "/student-ema/unet/diffusion_pytorch_model.safetensors"),
            run.bytes(b + "/student-ema/unet/diffusion_pytorch_model.safetensors"));
  EXPECT_EQ(run.bytes(a + "/plan.toml"), run.bytes(b + "/plan.toml"));
  EXPECT_EQ(run.bytes(a + "/manifest.json"), run.bytes(b + "/manifest.json"));
}

inline void kill_often(const std::string& name, int wanted) {
  DistillRun run(name);
  write_resume_recipe(run);
  const CommandResult whole = run.run("whole");
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  ASSERT_EQ(steps_of(run, "whole"), static_cast<size_t>(kResumeSteps));
  int kills = 0, finished = 0;
  for (uint64_t round = 0; kills < wanted && round < 10 * static_cast<uint64_t>(wanted); ++round) {
    const double share = rng::uniform(7, 1, round);
    if (run_and_kill(run, "broken", 5 + share * whole.ms)) {
      ++finished;
      expect_same_run(run, "whole", "broken");
      std::filesystem::remove_all(run.path("broken"));
    } else {
      ++kills;
    }
  }
  EXPECT_EQ(kills, wanted);
  const CommandResult last = run.run("broken", {"--resume"});
  ASSERT_EQ(last.exit_code, 0) << last.err;
  expect_same_run(run, "whole", "broken");
  std::printf("%d kills, %d runs finished between them\n", kills, finished + 1);
}

}  // namespace espalier::testing
