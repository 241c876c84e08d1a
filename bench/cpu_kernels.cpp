// Times the calls of a UNet on the cpu backend, one by one inside the whole forward, and prints what each kind costs.
//
//   cpu_kernels CONFIG [latent=64] [threads=0] [prefer=auto] [mapped=0] [dtype=f16] [repeats=3]
//
// Every parameter reads the same random buffer: the numbers mean nothing, the work is the real one.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "core/model/block_tree.h"
#include "core/model/unet_config.h"
#include "core/model/unet_graph.h"
#include "core/passes/pipeline.h"
#include "tests/support/one_op.h"

namespace espalier {
namespace {

class SharedBuffer final : public io::TensorSource {
 public:
  SharedBuffer(const Graph& graph, DType dtype) {
    size_t most = 0;
    for (Value v : graph.params()) {
      const Node& node = graph.def(v);
      names_.push_back(node.label);
      types_[node.label] = {dtype, graph.type(v).shape};
      most = std::max(most, static_cast<size_t>(graph.type(v).shape.elements()));
    }
    std::vector<double> values(most);
    for (size_t i = 0; i < most; ++i) values[i] = 0.02 * (static_cast<double>(i * 2654435761u % 1000) / 500.0 - 1.0);
    bytes_ = testing::to_bytes(dtype, values);
  }
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return types_.count(std::string(name)) != 0; }
  io::TensorRef get(std::string_view name) const override {
    const TensorType& type = types_.at(std::string(name));
    return {type, std::span(bytes_).first(type.bytes())};
  }
  std::string describe() const override { return "one shared buffer"; }

 private:
  std::vector<std::string> names_;
  std::map<std::string, TensorType> types_;
  std::vector<std::byte> bytes_;
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Line {
  int calls = 0;
  double ms = 0, flops = 0;
};

void print(const char* title, const std::map<std::string, Line>& lines, double total) {
  std::vector<std::pair<std::string, Line>> sorted(lines.begin(), lines.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.ms > b.second.ms; });
  std::printf("\n%s\n", title);
  for (const auto& [name, line] : sorted)
    std::printf("%9.1f ms %5.1f%% %5d x %8.1f GF/s  %s\n", line.ms, 100 * line.ms / total, line.calls, line.flops / line.ms / 1e6,
                name.c_str());
}

int run(const std::string& config, const std::map<std::string, std::string>& options) {
  const auto backend = testing::open_backend("cpu", {"threads=" + options.at("threads"), "prefer=" + options.at("prefer")});
  std::printf("%s\n", backend->describe().c_str());
  const int64_t latent = std::stoll(options.at("latent"));
  const Graph built = model::build_graph(model::build_tree(model::read_config(config)), {.height = latent, .width = latent});
  passes::PipelineOptions pipeline;
  pipeline.context.accepts = [&](const OpCall& call, const std::vector<bool>& is_param) {
    return backend->support(call, "", is_param).accepted;
  };
  const auto graph = std::make_shared<Graph>(passes::optimise(built, pipeline));
  const auto weights = std::make_shared<SharedBuffer>(*graph, *parse_dtype(options.at("dtype")));
  exec::Executor executor(lower::lower(graph, {backend.get()}), backend, weights, {options.at("mapped") == "1", true});
  std::vector<std::vector<float>> buffers;
  std::vector<const void*> in;
  std::vector<void*> out;
  for (Value v : executor.list().inputs) {
    buffers.emplace_back(static_cast<size_t>(graph->type(v).shape.elements()));
    for (size_t i = 0; i < buffers.back().size(); ++i) buffers.back()[i] = static_cast<float>(i % 13) / 6.0f - 1.0f;
    in.push_back(buffers.back().data());
  }
  for (Value v : executor.list().outputs)
    out.push_back(buffers.emplace_back(static_cast<size_t>(graph->type(v).shape.elements())).data());

  std::vector<double> best(executor.list().calls.size(), 1e30);
  for (int repeat = 0; repeat <= std::stoi(options.at("repeats")); ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    executor.run(in, out);
    std::printf(repeat == 0 ? "first run, with packing: %.3f s\n" : "run: %.3f s\n", seconds_since(begin));
    if (repeat == 0 && options.at("repeats") != "0") continue;
    for (size_t i = 0; i < best.size(); ++i) best[i] = std::min(best[i], executor.call_ms()[i]);
  }
  std::map<std::string, Line> kinds, shapes;
  double total = 0;
  for (size_t i = 0; i < best.size(); ++i) {
    const lower::Call& call = executor.list().calls[i];
    const OpCall op = graph->call(graph->node(call.node));
    std::string shape = std::string(*op.op->name) + ' ' + call.kernel;
    const double flops = (*op.op->cost)(op).flops;
    const auto add = [&](Line& line) { ++line.calls, line.ms += best[i], line.flops += flops; };
    add(kinds[shape]);
    for (const TensorType& type : op.inputs) shape += type.present() ? ' ' + to_string(type.shape) : " -";
    add(shapes[shape]);
    total += best[i];
  }
  print("by op and kernel", kinds, total);
  print("by shape", shapes, total);
  std::printf("\nsum of the best of each call: %.1f ms, arena %.1f MiB\n", total,
              static_cast<double>(executor.list().arena_bytes) / 1048576.0);
  return 0;
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  std::map<std::string, std::string> options{{"latent", "64"}, {"threads", "0"}, {"prefer", "auto"},
                                             {"mapped", "0"},  {"dtype", "f16"}, {"repeats", "3"}};
  if (argc < 2) return std::fprintf(stderr, "usage: cpu_kernels CONFIG [key=value]...\n"), 2;
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i];
    const size_t at = option.find('=');
    if (at == std::string::npos || !options.count(option.substr(0, at)))
      return std::fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    options[option.substr(0, at)] = option.substr(at + 1);
  }
  try {
    return espalier::run(argv[1], options);
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
