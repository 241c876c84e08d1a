// The reference functions against PyTorch and diffusers: tests/golden/op_values.txt, made by make_op_values.py beside it.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/builder.h"
#include "core/ops/interpret.h"
#include "core/ops/registry.h"

namespace espalier {
namespace {

struct GoldenCase {
  OpCall call;
  std::vector<std::vector<double>> data;
  Shape out;
  double sum = 0, tolerance = 0;
  std::vector<std::pair<size_t, double>> elements;
};

std::vector<int64_t> integers(const std::string& text) {
  std::vector<int64_t> values;
  if (text != "-")
    for (const std::string& part : split(text, ',')) values.push_back(std::stoll(part));
  return values;
}

void add_operand(GoldenCase& made, const std::string& dims, const std::string& kind) {
  const auto i = static_cast<int64_t>(made.data.size());
  const bool bytes = kind == "bytes", positive = kind == "positive";
  made.call.inputs.push_back({bytes ? DType::kU8 : DType::kF32, Shape(integers(dims))});
  std::vector<double> data(static_cast<size_t>(made.call.inputs.back().shape.elements()));
  for (size_t k = 0; k < data.size(); ++k) {
    const int64_t integer = 7919 * static_cast<int64_t>(k) + 104729 * i + 13;
    const double value = static_cast<double>(integer % 1009) / 504.5 - 1;
    data[k] = bytes ? static_cast<double>(integer % 256) : positive ? value / 2 + 1 : value;
  }
  made.data.push_back(std::move(data));
}

AttrValue attribute(const std::string& kind, const std::string& text) {
  if (kind == "int") return static_cast<int64_t>(std::stoll(text));
  if (kind == "float") return std::stod(text);
  if (kind == "bool") return text == "1";
  if (kind == "string") {
    std::string lines = text;
    for (char& c : lines)
      if (c == '|') c = '\n';
    return lines;
  }
  return integers(text);
}

std::vector<GoldenCase> read_cases() {
  std::ifstream file(std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/op_values.txt");
  std::vector<GoldenCase> cases;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key, a, b, c;
    words >> key >> a;
    if (key == "op") {
      cases.emplace_back().call.op = ops::find(a);
      EXPECT_NE(cases.back().call.op, nullptr) << a;
    } else if (key == "in" || key == "positive" || key == "bytes") {
      add_operand(cases.back(), a, key);
    } else if (key == "absent") {
      cases.back().call.inputs.emplace_back();
      cases.back().data.emplace_back();
    } else if (key == "data") {
      cases.back().data[0].clear();
      for (const std::string& part : split(a, ',')) cases.back().data[0].push_back(std::stod(part));
    } else if (key == "data_of") {
      words >> b;
      std::vector<double>& data = cases.back().data[std::stoull(a)];
      data.clear();
      for (const std::string& part : split(b, ',')) data.push_back(std::stod(part));
    } else if (key == "attr") {
      words >> b;
      std::getline(words >> std::ws, c);
      cases.back().call.attrs.set(a, attribute(b, c));
    } else if (key == "out") {
      cases.back().out = Shape(integers(a));
      words >> b >> cases.back().sum >> c >> cases.back().tolerance;
    } else if (key == "at") {
      words >> b;
      cases.back().elements.emplace_back(std::stoull(a), std::stod(b));
    }
  }
  return cases;
}

TEST(OpValues, references_equal_pytorch) {
  const std::vector<GoldenCase> cases = read_cases();
  ASSERT_GT(cases.size(), 60u);
  for (size_t i = 0; i < cases.size(); ++i) {
    GoldenCase golden = cases[i];
    SCOPED_TRACE(std::string(*golden.call.op->name) + ", case " + std::to_string(i));
    golden.call.attrs = complete_attrs(*golden.call.op, golden.call.attrs);
    golden.call.inputs.resize(std::max(golden.call.inputs.size(), (*golden.call.op->inputs).size()));
    golden.data.resize(golden.call.inputs.size());
    golden.call.results = (*golden.call.op->infer)(golden.call);
    ASSERT_EQ(golden.call.results[0].shape, golden.out);
    std::vector<RefTensor> in;
    for (size_t k = 0; k < golden.data.size(); ++k) in.push_back({golden.call.inputs[k], golden.data[k]});
    const std::vector<double> got = ops::evaluate(golden.call, in)[0];
    ASSERT_FALSE(golden.elements.empty());
    double sum = 0, sum_of_magnitudes = 0;
    for (double v : got) sum += v, sum_of_magnitudes += std::fabs(v);
    for (const auto& [at, value] : golden.elements) EXPECT_NEAR(got[at], value, golden.tolerance * (1 + std::fabs(value))) << at;
    EXPECT_NEAR(sum, golden.sum, golden.tolerance * (1 + sum_of_magnitudes));
  }
}

TEST(OpValues, every_op_that_pytorch_has_is_covered) {
  std::set<std::string_view> covered{"cast", "gate"};  // cast: RoundTo tests; gate: no such function in PyTorch
  for (const GoldenCase& golden : read_cases()) covered.insert(*golden.call.op->name);
  for (const OpDef* def : ops::all()) EXPECT_EQ(covered.count(*def->name), 1u) << *def->name;
}

}  // namespace
}  // namespace espalier
