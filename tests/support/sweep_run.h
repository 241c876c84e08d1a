#pragma once
// Sweeps of tiny trials on the recorded distillation case, in a folder that goes away with the test.

#include <gtest/gtest.h>

#include <set>

#include "tests/support/distill_run.h"

namespace espalier::testing {

/// A base recipe of `steps` steps with a checkpoint at each: about 50 ms of work.
inline void write_sweep_base(const DistillRun& run, int steps = 3, const std::string& stages = "") {
  const std::string train =
      "[train]\nbatch_size = 2\ncheckpoint_every = 1\nclip_norm = 1.0\nsteps = " + std::to_string(steps) + "\n";
  const std::string prune =
      "[[stage]]\nsteps = " + std::to_string(steps) + "\nprune = { use = \"espalier.prune.first-k\", keep = 2 }\n";
  run.write_recipe(train + (stages.empty() ? prune : stages));
}

inline CommandResult sweep(const DistillRun& run, const std::string& file, const std::string& out,
                           std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"sweep", run.path(file).string()};
  if (!out.empty()) arguments.insert(arguments.end(), {"--out", run.path(out).string()});
  arguments.insert(arguments.end(), more.begin(), more.end());
  arguments.insert(arguments.begin(), ESPALIER_BUILD_DIR "/bin/espalier");
  return run_command(arguments, {}, 900);
}

/// trials.jsonl.
inline std::vector<nlohmann::json> sweep_rows(const DistillRun& run, const std::string& out) {
  std::ifstream file(run.path(out) / "trials.jsonl");
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

/// Everything that a trial computed, as bytes.
inline std::string trial_bytes(const DistillRun& run, const std::string& out, const std::string& id) {
  const std::string trial = out + "/trials/" + id;
  return run.bytes(trial + "/metrics.jsonl") + run.bytes(run.weights_of(trial)) + run.bytes(trial + "/plan.toml") +
         run.bytes(trial + "/recipe.resolved.toml");
}

/// Both sweeps have the same trials, all complete, with the same results to the bit.
inline void expect_same_sweep(const DistillRun& run, const std::string& a, const std::string& b) {
  const std::vector<nlohmann::json> rows = sweep_rows(run, a), others = sweep_rows(run, b);
  ASSERT_EQ(rows.size(), others.size());
  std::set<std::string> ids;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string id = rows[i]["id"];
    EXPECT_TRUE(ids.insert(id).second) << id << " is there twice";
    EXPECT_EQ(others[i]["id"], id);
    EXPECT_EQ(rows[i]["state"], "complete") << rows[i]["cause"];
    EXPECT_EQ(others[i]["state"], "complete") << others[i]["cause"];
    EXPECT_EQ(rows[i]["values"], others[i]["values"]) << id;
    EXPECT_EQ(trial_bytes(run, a, id), trial_bytes(run, b, id)) << id;
  }
}

}  // namespace espalier::testing
