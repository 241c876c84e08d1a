#pragma once
// RUN: a new folder for each run, taken by one process at a time.

#include <filesystem>
#include <string>

#include "core/train/recipe.h"

namespace espalier::train {

/// RUN/{recipe.resolved.toml, metrics.jsonl, tensorboard/, checkpoints/}, at the end also student/, student-ema/, plan.toml,
/// origin.json, manifest.json, report.html, pictures/, README.md.
class RunFolder {
 public:
  /// With `resume`, takes up one that is there; it then must have been made from the same recipe. One that is not there is
  /// made by `begin`, so that a start that fails before it leaves nothing behind.
  ///
  /// Errors: UserError when it exists and `resume` was not asked for; when its recipe differs, with the lines that do; when
  /// another process runs in it.
  RunFolder(std::filesystem::path path, const Recipe& recipe, bool resume);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Whether a run in it came to its end before, and its student is still there.
  bool finished() const;
  /// Makes the folder, unless it was there. Errors: UserError.
  void begin();

 private:
  void lock();
  std::filesystem::path path_;
  std::string recipe_;  // resolved
  bool there_ = false;
  int lock_ = -1;
};

/// Lines that only one of the texts has, "- …" and "+ …", for messages; at most `limit`.
std::string line_difference(const std::string& before, const std::string& after, size_t limit = 12);

}  // namespace espalier::train
