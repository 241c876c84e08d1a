#pragma once
// Runs of `espalier distill` on the recorded distillation case, in a folder that goes away with the test.

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "tests/support/run_command.h"

namespace espalier::testing {

inline const std::string kDistillCase = ESPALIER_SOURCE_DIR "/tests/golden/distill-sdxl-to-ssd-1b";

/// A folder with a recipe; `run` runs it.
class DistillRun {
 public:
  explicit DistillRun(const std::string& name)
      : folder_(std::filesystem::temp_directory_path() / ("espalier_distill_" + name + "_" + std::to_string(getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~DistillRun() {
    std::error_code fault;
    std::filesystem::remove_all(folder_, fault);
  }

  std::filesystem::path path(const std::string& name = "") const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }

  /// `[teacher]`, `[data]`, the losses and settings of the recorded case; `rest` follows.
  void write_recipe(const std::string& rest = "[train]\nsteps = 5\nbatch_size = 2\nclip_norm = 1.0\n",
                    const std::string& data_table = data()) const {
    std::string text = "[teacher]\nmodel = \"" + kDistillCase + "/teacher/unet\"\n" + data_table + kLosses + rest;
    write("recipe.toml", text);
  }
  static std::string data() {
    std::string files;
    for (int k = 0; k < 5; ++k) files += "\"" + kDistillCase + "/step_" + std::to_string(k) + ".safetensors\", ";
    return "[data]\nsource = \"tensors\"\nfiles = [" + files + "]\n";
  }
  static constexpr const char* kLosses =
      "[[loss]]\nuse = \"espalier.loss.task\"\n"
      "[[loss]]\nuse = \"espalier.loss.output-kd\"\nweight = 0.5\n"
      "[[loss]]\nuse = \"espalier.loss.feature-kd\"\nweight = 0.5\npairs = \"sub-block\"\n";

  CommandResult run(const std::string& out, std::vector<std::string> more = {}, const std::string& recipe = "recipe.toml") const {
    std::vector<std::string> arguments{"distill", path(recipe).string(), "--out", path(out).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_espalier(arguments);
  }

  /// The rows of metrics.jsonl; validation rows too.
  std::vector<nlohmann::json> rows(const std::string& out) const {
    std::ifstream file(path(out) / "metrics.jsonl");
    std::vector<nlohmann::json> rows;
    for (std::string line; std::getline(file, line);) rows.push_back(nlohmann::json::parse(line));
    return rows;
  }
  std::string bytes(const std::string& file) const {
    std::ifstream in(path(file), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string weights_of(const std::string& out) const { return out + "/student/unet/diffusion_pytorch_model.safetensors"; }
  std::vector<std::filesystem::path> checkpoints(const std::string& out) const {
    std::vector<std::filesystem::path> found;
    std::error_code fault;
    for (const auto& entry : std::filesystem::directory_iterator(path(out) / "checkpoints", fault)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::filesystem::path folder_;
};

/// |a - b|, norm-wise.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return std::sqrt(sum);
}
inline double norm(const std::vector<float>& a) { return distance(a, std::vector<float>(a.size())); }

}  // namespace espalier::testing
