#pragma once
// Five steps of distillation as PyTorch + diffusers recorded them: every term, the total, the gradient norm, every gradient of
// the first step, every weight after the last. The optimizer here is the formula of PyTorch's AdamW, written out.

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/autodiff/gradient.h"
#include "core/base/files.h"
#include "core/distill/noise_schedule.h"
#include "core/exec/executor.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/lower/lower.h"
#include "core/model/model.h"
#include "core/passes/pipeline.h"
#include "tests/support/losses.h"
#include "tests/support/one_op.h"

namespace espalier::testing {

inline const std::string kDistillCase = std::string(ESPALIER_SOURCE_DIR) + "/tests/golden/distill-sdxl-to-ssd-1b";

using Weights = std::map<std::string, std::vector<float>>;

inline exec::FloatTensor nhwc(const io::TensorRef& tensor) {
  const Shape& s = tensor.type.shape;
  const std::vector<float> values = io::read_f32(tensor);
  if (s.rank() != 4) return {s, values};
  exec::FloatTensor out{{s[0], s[2], s[3], s[1]}, std::vector<float>(values.size())};
  const int64_t pixels = s[2] * s[3];
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t p = 0; p < pixels; ++p)
        out.values[static_cast<size_t>((n * pixels + p) * s[1] + c)] = values[static_cast<size_t>((n * s[1] + c) * pixels + p)];
  return out;
}

/// |a - b| over |size|, norm-wise.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return std::sqrt(sum);
}
inline double norm(const std::vector<float>& a) { return distance(a, std::vector<float>(a.size())); }

struct AdamW {
  double lr, beta1, beta2, eps, weight_decay;
  std::map<std::string, std::vector<double>> m, v;
  void step(int t, const std::string& name, std::vector<float>& p, const std::vector<float>& g, double scale) {
    auto &first = m[name], &second = v[name];
    first.resize(p.size()), second.resize(p.size());
    for (size_t i = 0; i < p.size(); ++i) {
      const double gradient = g[i] * scale;
      double x = p[i] * (1 - lr * weight_decay);
      first[i] = beta1 * first[i] + (1 - beta1) * gradient;
      second[i] = beta2 * second[i] + (1 - beta2) * gradient * gradient;
      x -= lr / (1 - std::pow(beta1, t)) * first[i] / (std::sqrt(second[i] / (1 - std::pow(beta2, t))) + eps);
      p[i] = static_cast<float>(x);
    }
  }
};

/// The recorded case on `backend`, within the tolerances that stand below.
inline void expect_distill_golden(const std::shared_ptr<lower::Backend>& backend) {
  using namespace distill;
  const auto expected = nlohmann::json::parse(read_text(kDistillCase + "/expected.json"));
  const model::Model teacher = model::load_model(kDistillCase + "/teacher/unet"),
                     student = model::load_model(kDistillCase + "/student/unet");
  const io::TensorSourcePtr first_batch = io::open_safetensors(kDistillCase + "/step_0.safetensors");
  const Shape latents = first_batch->get("latents").type.shape;
  const JointOptions options{.batch = latents[0],
                             .height = latents[2],
                             .width = latents[3],
                             .tokens = first_batch->get("encoder_hidden_states").type.shape[1]};
  std::vector<std::unique_ptr<LossStrategy>> losses;
  for (const char* name : {"task", "output-kd", "feature-kd"}) losses.push_back(our_loss(name));
  JointGraph joint = build_joint_graph(&teacher.tree, student.tree, uses_of(losses, teacher.tree, student.tree), options);
  ASSERT_EQ(joint.terms.size(), 28u);
  std::vector<std::string> names;
  const std::vector<Value> gradients = autodiff::append_gradient(joint.graph, joint.total, joint.trained);
  for (size_t i = 0; i < gradients.size(); ++i) {
    names.push_back(joint.graph.def(joint.trained[i]).label);
    ASSERT_TRUE(gradients[i].present()) << names.back();
    joint.graph.add_output("d." + names.back(), gradients[i]);
  }

  passes::PipelineOptions pipeline{.verify = true};
  pipeline.context.accepts = [&](const OpCall& call, const std::vector<bool>& is_param) {
    return backend->support(call, "", is_param).accepted;
  };
  const auto graph = std::make_shared<Graph>(passes::optimise(joint.graph, pipeline));
  const lower::CallList list = lower::lower(graph, {.backend = backend.get(), .strict = true});

  Weights weights, initial;
  for (const std::string& name : names) weights[name] = io::read_f32(student.weights->get(name));
  initial = weights;
  const auto& a = expected["adamw"];
  AdamW optimizer{a["lr"], a["betas"][0], a["betas"][1], a["eps"], a["weight_decay"], {}, {}};
  const std::vector<float> signal = alpha_bars({});
  const io::TensorSourcePtr recorded = io::open_safetensors(kDistillCase + "/gradients.safetensors");
  double worst_term = 0, worst_gradient = 0;
  for (int step = 0; step < static_cast<int>(expected["steps"].size()); ++step) {
    auto source = std::make_shared<io::MemoryTensorSource>();
    for (const auto& [name, values] : weights) source->add_f32(name, student.weights->get(name).type.shape, values);
    for (const std::string& name : teacher.weights->names())
      source->add_f32(kTeacherPrefix + name, teacher.weights->get(name).type.shape, io::read_f32(teacher.weights->get(name)));
    exec::Executor executor(list, backend, source);

    const io::TensorSourcePtr batch = io::open_safetensors(kDistillCase + "/step_" + std::to_string(step) + ".safetensors");
    exec::FloatTensors inputs;
    for (const std::string& name : batch->names()) inputs[name] = nhwc(batch->get(name));
    exec::FloatTensor& alpha = inputs["alpha_bar"];
    alpha.shape = {options.batch};
    for (float t : inputs["timestep"].values) alpha.values.push_back(signal[static_cast<size_t>(t)]);
    exec::FloatTensor& loss_weights = inputs["loss_weights"];
    loss_weights.shape = {28};
    for (const JointTerm& term : joint.terms) loss_weights.values.push_back(term.use == 0 ? 1.0f : 0.5f);
    const exec::FloatTensors got = exec::run_named(executor, inputs);

    const auto& want = expected["steps"][static_cast<size_t>(step)];
    const auto compare = [&](const std::string& key, double value) {
      const double reference = want[key];
      EXPECT_NEAR(value, reference, 1e-4 * std::fabs(reference) + 1e-10) << key << " of step " << step;
      if (reference > 1e-6) worst_term = std::max(worst_term, std::fabs(value - reference) / reference);
    };
    compare("total", got.at("total").values[0]);
    for (size_t k = 0; k < joint.terms.size(); ++k) compare(joint.terms[k].key, got.at("terms").values[k]);
    double squares = 0;
    for (const std::string& name : names) squares += std::pow(norm(got.at("d." + name).values), 2);
    const double grad_norm = std::sqrt(squares);
    compare("grad_norm", grad_norm);
    if (step == 0)
      for (const std::string& name : names) {
        const std::vector<float> reference = io::read_f32(recorded->get(name));
        const double away = distance(got.at("d." + name).values, reference);
        // A bias before a norm that undoes it: its gradient is rounding alone.
        EXPECT_LE(away, 1e-3 * norm(reference) + 1e-6) << name;
        if (norm(reference) > 1e-4) worst_gradient = std::max(worst_gradient, away / norm(reference));
      }
    const double scale = std::min(1.0, expected["clip"].get<double>() / (grad_norm + 1e-6));
    for (const std::string& name : names) optimizer.step(step + 1, name, weights[name], got.at("d." + name).values, scale);
  }
  const io::TensorSourcePtr final_weights = io::open_safetensors(kDistillCase + "/final.safetensors");
  double worst_weight = 0;
  for (const std::string& name : names) {
    const std::vector<float> reference = io::read_f32(final_weights->get(name));
    const double away = distance(weights[name], reference), change = distance(reference, initial[name]);
    EXPECT_LE(away, 5e-3 * change) << name;
    worst_weight = std::max(worst_weight, away / change);
  }
  std::printf("worst: terms %.2g relative, gradients %.2g norm-wise, weights %.2g of their change\n", worst_term, worst_gradient,
              worst_weight);
}

}  // namespace espalier::testing
