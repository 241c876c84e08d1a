#pragma once
// Every sample of every op as a call with data, its reference, and the comparison that backends are held to.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/ops/interpret.h"
#include "core/ops/registry.h"
#include "tests/support/one_op.h"
#include "tests/support/random_tensor.h"

namespace espalier::testing {

using Data = std::vector<std::vector<double>>;

struct Case {
  std::string name;
  OpCall call;
  Data data;
  double tolerance = 0;
};

inline Case make_case(const OpDef& def, size_t index, const Sample& sample) {
  Case c{std::string(*def.name) + " sample " + std::to_string(index),
         {&def, sample.inputs, complete_attrs(def, sample.attrs), {}},
         random_inputs(sample, 7),
         sample.tolerance};
  c.call.inputs.resize(std::max(c.call.inputs.size(), (*def.inputs).size()));
  c.data.resize(c.call.inputs.size());
  for (size_t i = 0; i < c.data.size(); ++i)  // the reference computes from what memory holds
    if (c.call.inputs[i].present()) c.data[i] = to_doubles(c.call.inputs[i].dtype, to_bytes(c.call.inputs[i].dtype, c.data[i]));
  c.call.results = (*def.infer)(c.call);
  return c;
}

inline std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const OpDef* def : ops::all()) {
    if (def == &ops::composite_def) continue;  // a backend knows these by their names; what it does not know is written out
    const std::vector<Sample> samples = (*def->samples)();
    for (size_t i = 0; i < samples.size(); ++i) cases.push_back(make_case(*def, i, samples[i]));
  }
  return cases;
}

inline Data reference(const Case& c) {
  std::vector<RefTensor> in;
  for (size_t i = 0; i < c.call.inputs.size(); ++i) in.push_back({c.call.inputs[i], c.data[i]});
  return ops::evaluate(c.call, in);
}

/// What a result of `dtype` may differ by for its rounding alone.
inline double rounding(DType dtype) { return dtype == DType::kF16 ? 1e-3 : dtype == DType::kBF16 ? 8e-3 : 0; }

inline void expect_close(const Case& c, const OneOpRun& run, const Data& expected) {
  for (size_t k = 0; k < expected.size(); ++k) {
    const DType dtype = c.call.results[k].dtype;
    const std::vector<double> got = to_doubles(dtype, run.outputs[k]);
    ASSERT_EQ(got.size(), expected[k].size());
    double largest = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      double want = expected[k][i];
      if (dtype == DType::kI64 || dtype == DType::kI32) want = std::trunc(want);
      if (dtype == DType::kF16 && std::abs(want) >= 65520) {  // past its largest number
        EXPECT_TRUE(std::isinf(got[i])) << c.name << " on " << run.call.kernel << ", element " << i;
        continue;
      }
      largest = std::max(largest, std::abs(want));
      const double away = std::isnan(got[i]) ? INFINITY : std::abs(got[i] - want);
      if (away > worst) worst = away, at = i;
    }
    const double tolerance = std::max(c.tolerance, rounding(dtype));
    EXPECT_LE(worst, tolerance * largest + tolerance / 10)
        << c.name << " on " << run.call.kernel << ", element " << at << ": got " << got[at] << ", reference " << expected[k][at];
  }
}

/// Operands that are parameters in a UNet: every one but the first of ops that have weights.
inline std::vector<bool> weights_of(const OpCall& call) {
  static const std::set<std::string_view> kWeighted{"conv2d",     "conv2d_grad_input", "linear",    "linear_geglu",
                                                    "group_norm", "group_norm_silu",   "layer_norm"};
  std::vector<bool> params(call.inputs.size(), false);
  if (*call.op->name == "linear_add") params[1] = params[2] = true;
  if (kWeighted.count(*call.op->name))
    for (size_t i = 1; i < params.size(); ++i) params[i] = true;
  return params;
}

}  // namespace espalier::testing
