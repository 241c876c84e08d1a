// What diffusers answers, recomputed by the reference functions of the ops: this proves the graph. Every folder of
// tests/golden that holds inputs.safetensors is a case; the output and every tap are compared.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/model/unet_graph.h"
#include "core/ops/interpret.h"

namespace espalier::model {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> golden_cases() {
  std::vector<fs::path> cases;
  for (const auto& entry : fs::directory_iterator(fs::path(ESPALIER_SOURCE_DIR) / "tests" / "golden"))
    if (fs::exists(entry.path() / "inputs.safetensors")) cases.push_back(entry.path());
  std::sort(cases.begin(), cases.end());
  return cases;
}

std::vector<double> widened(const io::TensorSource& source, const std::string& name) {
  const std::vector<float> values = io::read_f32(source.get(name));
  return {values.begin(), values.end()};
}

/// [N,C,H,W] → [N,H,W,C]; other ranks as they are.
std::vector<double> to_nhwc(const std::vector<double>& nchw, const Shape& shape) {
  if (shape.rank() != 4) return nchw;
  const int64_t n = shape[0], c = shape[1], pixels = shape[2] * shape[3];
  std::vector<double> out(nchw.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < c; ++k)
      for (int64_t p = 0; p < pixels; ++p)
        out[static_cast<size_t>((i * pixels + p) * c + k)] = nchw[static_cast<size_t>((i * c + k) * pixels + p)];
  return out;
}

class Golden : public testing::TestWithParam<fs::path> {};

TEST_P(Golden, output_and_every_tap_match_diffusers) {
  const BlockTree tree = build_tree(read_config(GetParam() / "unet" / "config.json"));
  const io::TensorSourcePtr weights = io::open_weights(GetParam() / "unet");
  const io::TensorSourcePtr inputs = io::open_safetensors(GetParam() / "inputs.safetensors");
  const io::TensorSourcePtr outputs = io::open_safetensors(GetParam() / "outputs.safetensors");
  const Shape sample = inputs->get("sample").type.shape;
  GraphOptions options{.batch = sample[0], .height = sample[2], .width = sample[3], .taps = {"*"}};
  options.tokens = inputs->get("encoder_hidden_states").type.shape[1];
  const Graph graph = build_graph(tree, options);
  const auto values = ops::interpret(
      graph,
      [&](const Node& node) {
        if (node.kind == NodeKind::kParam) return widened(*weights, node.label);
        return to_nhwc(widened(*inputs, node.label), inputs->get(node.label).type.shape);
      },
      false);
  EXPECT_EQ(graph.outputs().size(), outputs->names().size()) << "a tap is missing or made up";
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const std::string& name = graph.outputs()[i].name;
    ASSERT_TRUE(outputs->contains(name)) << name;
    const std::vector<double> want = to_nhwc(widened(*outputs, name), outputs->get(name).type.shape);
    ASSERT_EQ(values[i].size(), want.size()) << name;
    double largest = 0, worst = 0;
    for (size_t k = 0; k < want.size(); ++k) {
      largest = std::max(largest, std::abs(want[k]));
      const double difference = std::abs(want[k] - values[i][k]);
      worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
    }
    EXPECT_GT(largest, 0.0) << name;
    EXPECT_LE(worst, 1e-4 * largest + 1e-5) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(golden_cases()), [](const auto& info) {
  std::string name = info.param.filename();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace espalier::model
