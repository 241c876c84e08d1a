// One distillation step on the cpu backend: teacher forward, student forward and backward with task, output and sub-block
// feature terms, AdamW. Prints a line of JSON for step.py; with profile=1 where the time goes.
//
//   step TEACHER STUDENT [batch=4] [size=32] [tokens=77] [threads=0] [repeats=3] [profile=0] [dump=DIR]
//
// As in training, the student's weights are inputs of the graph, so that no packed copy of them is kept, and the gradients
// are outputs; the teacher's are parameters, packed once.

#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <thread>

#include "core/autodiff/gradient.h"
#include "core/base/rng.h"
#include "core/exec/profile.h"
#include "core/io/memory_source.h"
#include "core/ir/rewrite.h"
#include "core/model/model.h"
#include "core/passes/pipeline.h"
#include "tests/support/losses.h"
#include "tests/support/one_op.h"

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;
using Options = std::map<std::string, std::string>;

double ms_since(Clock::time_point begin) { return std::chrono::duration<double, std::milli>(Clock::now() - begin).count(); }

double cpu_ms() { return 1e3 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// The teacher's tensors under the names that the joint graph has for them.
class Prefixed final : public io::TensorSource {
 public:
  explicit Prefixed(io::TensorSourcePtr from) : from_(std::move(from)) {
    for (const std::string& name : from_->names()) names_.push_back(distill::kTeacherPrefix + name);
  }
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return from_->contains(bare(name)); }
  io::TensorRef get(std::string_view name) const override { return from_->get(bare(name)); }
  void drop_pages(std::string_view name) const override { from_->drop_pages(bare(name)); }
  std::string describe() const override { return from_->describe(); }

 private:
  static std::string_view bare(std::string_view name) { return name.substr(std::string_view(distill::kTeacherPrefix).size()); }
  io::TensorSourcePtr from_;
  std::vector<std::string> names_;
};

/// The graph with the parameters that are not frozen as inputs of the same name.
Graph with_weights_as_inputs(const Graph& graph) {
  Rewriter rewrite(graph);
  for (const Node& node : graph.nodes()) {
    rewrite.at(node);
    if (node.kind == NodeKind::kParam && !node.frozen)
      rewrite.replace(node, rewrite.builder().input(node.label, graph.type(node.results[0])));
    else
      rewrite.keep(node);
  }
  return rewrite.finish();
}

struct Moments {
  std::vector<float> first, second;
};

/// PyTorch's AdamW over one tensor.
void adamw(int step, float* p, const float* g, float* m, float* v, size_t count) {
  constexpr float kLr = 1e-5f, kBeta1 = 0.9f, kBeta2 = 0.999f, kEps = 1e-8f, kDecay = 1e-2f;
  const float size = kLr / (1 - std::pow(kBeta1, static_cast<float>(step)));
  const float root = 1 / std::sqrt(1 - std::pow(kBeta2, static_cast<float>(step)));
  for (size_t i = 0; i < count; ++i) {
    m[i] = kBeta1 * m[i] + (1 - kBeta1) * g[i];
    v[i] = kBeta2 * v[i] + (1 - kBeta2) * g[i] * g[i];
    p[i] = p[i] * (1 - kLr * kDecay) - size * m[i] / (std::sqrt(v[i]) * root + kEps);
  }
}

int run(const std::string& teacher_path, const std::string& student_path, const Options& options) {
  const auto number = [&](const char* key) { return std::stoll(options.at(key)); };
  const model::Model teacher = model::load_model(teacher_path);
  model::Model student = model::load_model(student_path);
  const auto backend = testing::open_backend("cpu", {"threads=" + options.at("threads")});
  std::vector<std::unique_ptr<distill::LossStrategy>> losses;
  for (const char* name : {"task", "output-kd", "feature-kd"}) losses.push_back(testing::our_loss(name));
  distill::JointGraph joint = distill::build_joint_graph(
      &teacher.tree, student.tree, testing::uses_of(losses, teacher.tree, student.tree),
      {.batch = number("batch"), .height = number("size"), .width = number("size"), .tokens = number("tokens")});
  const auto built = Clock::now();
  const std::vector<Value> gradients = autodiff::append_gradient(joint.graph, joint.total, joint.trained);
  for (size_t i = 0; i < gradients.size(); ++i)
    joint.graph.add_output("d." + joint.graph.def(joint.trained[i]).label, gradients[i]);
  passes::PipelineOptions pipeline;
  pipeline.dump_folder = options.at("dump");
  lower::KernelCache cache(backend.get());
  pipeline.context.accepts = [&](const OpCall& call, const std::vector<bool>& is_param) {
    return cache.support(call, "", is_param).accepted;
  };
  const auto graph = std::make_shared<Graph>(passes::optimise(with_weights_as_inputs(joint.graph), pipeline));
  lower::CallList list = lower::lower(graph, {.backend = backend.get(), .strict = true});
  std::fprintf(stderr, "%s\n%zu terms, %zu nodes, %zu calls, arena %.1f MiB (least %.1f), compiled in %.0f ms\n",
               backend->describe().c_str(), joint.terms.size(), graph->nodes().size(), list.calls.size(),
               static_cast<double>(list.arena_bytes) / 1048576.0, static_cast<double>(list.peak_live_bytes()) / 1048576.0,
               ms_since(built));
  const Node& peak = graph->node(list.calls[list.peak_call].node);
  std::fprintf(stderr, "fullest at %s %s\n", std::string(*peak.op->name).c_str(), peak.path.c_str());
  exec::Executor executor(std::move(list), backend, std::make_shared<Prefixed>(teacher.weights),
                          {.timed = options.at("profile") == "1"});

  std::map<std::string, std::vector<float>> inputs, results;
  std::vector<const void*> in;
  std::vector<void*> out;
  for (Value v : executor.list().inputs) {
    const std::string& name = graph->def(v).label;
    std::vector<float>& values = inputs[name];
    if (student.weights->contains(name)) {
      values = io::read_f32(student.weights->get(name));
      student.weights->drop_pages(name);
    } else {
      values.resize(static_cast<size_t>(graph->type(v).shape.elements()));
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = name == "timestep"       ? 500.0f
                    : name == "alpha_bar"    ? 0.5f
                    : name == "loss_weights" ? 0.5f
                                             : static_cast<float>(rng::normal(1, rng::stream_of(name), i));
    }
    in.push_back(values.data());
  }
  for (size_t i = 0; i < executor.list().outputs.size(); ++i) {
    std::vector<float>& values = results[graph->outputs()[i].name];
    values.resize(static_cast<size_t>(graph->type(executor.list().outputs[i]).shape.elements()));
    out.push_back(values.data());
  }
  std::map<std::string, Moments> moments;
  std::vector<double> best;
  std::string steps, cpu;
  for (int step = 0; step <= number("repeats"); ++step) {
    const auto begin = Clock::now();
    const double cpu_begin = cpu_ms();
    executor.run(in, out);
    const double graph_ms = ms_since(begin);
    const auto update = [&](bool odd) {
      bool turn = false;
      for (auto& [name, g] : results) {
        if (!name.starts_with("d.") || (turn = !turn) != odd) continue;
        std::vector<float>& p = inputs.at(name.substr(2));
        Moments& state = moments.at(name);
        adamw(step + 1, p.data(), g.data(), state.first.data(), state.second.data(), p.size());
      }
    };
    if (step == 0)
      for (const auto& [name, g] : results)
        if (name.starts_with("d.")) moments[name] = {std::vector<float>(g.size()), std::vector<float>(g.size())};
    std::thread other(update, true);
    update(false);
    other.join();
    const double all_ms = ms_since(begin);
    std::fprintf(stderr, "step %d: graph %.1f ms, update %.1f ms, total %.6g\n", step, graph_ms, all_ms - graph_ms,
                 static_cast<double>(results.at("total")[0]));
    if (step == 0) continue;
    steps += (steps.empty() ? "" : ", ") + std::to_string(all_ms);
    cpu += (cpu.empty() ? "" : ", ") + std::to_string(cpu_ms() - cpu_begin);
    const std::vector<double>& ms = executor.call_ms();
    if (best.empty()) best = ms;
    for (size_t i = 0; i < ms.size(); ++i) best[i] = std::min(best[i], ms[i]);
  }
  if (!best.empty()) {
    // Rows by op, kernel and share: forward of the teacher, of the student, backward.
    std::map<std::string, std::pair<double, int>> shapes;
    double by_part[3] = {0, 0, 0};
    for (size_t i = 0; i < best.size(); ++i) {
      const Node& node = graph->node(executor.list().calls[i].node);
      const int part = node.frozen ? 0 : node.grad_of.present() ? 2 : 1;
      by_part[part] += best[i];
      std::string key = std::string(part == 0 ? "teacher " : part == 1 ? "student " : "backward ") + std::string(*node.op->name);
      for (Value v : node.inputs) key += v.present() ? ' ' + to_string(graph->type(v).shape) : " -";
      for (const auto& [name, value] : node.attrs.entries())
        if (const bool* flag = std::get_if<bool>(&value); flag && *flag) key += " " + name;
      auto& line = shapes[key];
      line.first += best[i], ++line.second;
    }
    std::printf("%s\n", exec::profile_table(executor.list(), best, exec::ProfileBy::kKernel).c_str());
    std::printf("teacher %.1f ms, student %.1f ms, backward %.1f ms\n", by_part[0], by_part[1], by_part[2]);
    std::vector<std::pair<double, std::string>> sorted;
    for (const auto& [key, line] : shapes) sorted.emplace_back(line.first, std::to_string(line.second) + " x " + key);
    std::sort(sorted.rbegin(), sorted.rend());
    for (size_t i = 0; i < std::min<size_t>(sorted.size(), 60); ++i)
      std::printf("%9.2f ms  %s\n", sorted[i].first, sorted[i].second.c_str());
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"ms\": [%s], \"cpu_ms\": [%s], \"rss_gib\": %.4f, \"arena_mib\": %.1f, \"total\": %.9g}\n", steps.c_str(),
              cpu.c_str(), static_cast<double>(usage.ru_maxrss) / 1048576.0,
              static_cast<double>(executor.list().arena_bytes) / 1048576.0, static_cast<double>(results.at("total")[0]));
  return 0;
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  espalier::Options options{{"batch", "4"},   {"size", "32"},   {"tokens", "77"}, {"threads", "0"},
                            {"repeats", "3"}, {"profile", "0"}, {"dump", ""}};
  if (argc < 3) return std::fprintf(stderr, "usage: step TEACHER STUDENT [key=value]...\n"), 2;
  for (int i = 3; i < argc; ++i) {
    const std::string option = argv[i];
    const size_t at = option.find('=');
    if (at == std::string::npos || !options.count(option.substr(0, at)))
      return std::fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    options[option.substr(0, at)] = option.substr(at + 1);
  }
  try {
    return espalier::run(argv[1], argv[2], options);
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
