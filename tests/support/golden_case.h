#pragma once
// A golden case through the whole way (load, graph, passes, lowering, execution): the output and every tap equal what diffusers
// answered.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/exec/border.h"
#include "core/inspect/run_inputs.h"
#include "core/inspect/session.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/model/model.h"

namespace espalier::testing {

inline const std::filesystem::path kGolden = std::filesystem::path(ESPALIER_SOURCE_DIR) / "tests/golden";

/// Names of the recorded forward passes.
inline std::vector<std::string> golden_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden))
    if (std::filesystem::exists(entry.path() / "inputs.safetensors")) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}
/// As a part of a test's name.
inline std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// `gates`: with every unit gate there, and open.
inline void expect_golden(const std::string& name_of_case, const inspect::SessionOptions& options, bool gates = false) {
  const std::filesystem::path folder = kGolden / name_of_case;
  const model::Model model = model::load_model(folder / "unet");
  inspect::RunInputs inputs = inspect::read_run_inputs(*io::open_safetensors(folder / "inputs.safetensors"), model.tree);
  inputs.sizes.taps = {"*"};
  if (gates) {
    inputs.sizes.gates = true;
    const auto units = static_cast<int64_t>(model::gate_units(model.tree).size());
    inputs.tensors["gates"] = {{units}, std::vector<float>(static_cast<size_t>(units), 1.0f)};
  }
  const auto executor = inspect::open_session(model, inputs.sizes, options);
  const exec::FloatTensors got = exec::to_files(exec::run_named(*executor, inputs.tensors));
  const io::TensorSourcePtr want = io::open_safetensors(folder / "outputs.safetensors");
  EXPECT_EQ(got.size(), want->names().size()) << "the taps are those of the golden file";
  for (const std::string& name : want->names()) {
    ASSERT_TRUE(got.contains(name)) << name;
    const io::TensorRef tensor = want->get(name);
    ASSERT_EQ(got.at(name).shape, tensor.type.shape) << name;
    const std::vector<float> values = io::read_f32(tensor);
    float largest = 0, worst = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const float difference = std::abs(values[i] - got.at(name).values[i]);
      largest = std::max(largest, std::abs(values[i]));
      worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
    }
    EXPECT_LE(worst, 1e-4f * largest + 1e-5f) << name;
  }
}

}  // namespace espalier::testing
