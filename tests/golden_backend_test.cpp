// Every golden case through the whole way (load, graph, passes, lowering, execution): the output and every tap equal
// what diffusers answered, on the reference and on the cpu plugin, with packed and with mapped weights.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/base/error.h"
#include "core/exec/border.h"
#include "core/inspect/run_inputs.h"
#include "core/inspect/session.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/model/model.h"
#include "plugins/backend_adapter.h"
#include "plugins/registry.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
const fs::path kGolden = fs::path(ESPALIER_SOURCE_DIR) / "tests/golden";

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGolden))
    if (fs::exists(entry.path() / "inputs.safetensors")) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::shared_ptr<lower::Backend> cpu() {
  static const plugins::Registry registry({.files = {fs::path(ESPALIER_BUILD_DIR) / "plugins/cpu.esp.so"}});
  const plugins::Component& component = registry.find_backend("cpu");
  ErrorList errors;
  const plugins::ParamValues params = plugins::resolve_params(component.params, {}, component.id, errors);
  errors.throw_if_any();
  return plugins::open_backend(component, params);
}

class Golden : public ::testing::TestWithParam<std::string> {
 protected:
  void expect_equal(const inspect::SessionOptions& options, bool gates = false) {
    const fs::path folder = kGolden / GetParam();
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
};

TEST_P(Golden, reference) { expect_equal({}); }
TEST_P(Golden, cpu_packed) { expect_equal({.backend = cpu()}); }
TEST_P(Golden, cpu_mapped) { expect_equal({.backend = cpu(), .mapped = true}); }
TEST_P(Golden, cpu_with_every_gate_open) { expect_equal({.backend = cpu()}, true); }

INSTANTIATE_TEST_SUITE_P(Cases, Golden, ::testing::ValuesIn(case_names()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace espalier
