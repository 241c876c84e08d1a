#include "core/train/joint.h"

#include "core/autodiff/gradient.h"
#include "core/base/error.h"
#include "core/inspect/session.h"
#include "core/ir/rewrite.h"
#include "core/ops/accumulate.h"
#include "core/ops/registry.h"
#include "core/passes/mixed_precision.h"

namespace espalier::train {

distill::JointGraph joint_graph(const Recipe& recipe, const Losses& losses, size_t stage, const Structure& student,
                                const model::BlockTree* teacher, const data::BatchShape& shape,
                                std::vector<std::string>* left_out) {
  std::vector<distill::LossUse> uses;
  std::vector<size_t> index;  // of each use in the recipe
  for (size_t i = 0; i < losses.made.size(); ++i) {
    if (!recipe.losses[i].in_stage(stage)) continue;
    distill::LossUse use{.loss = losses.made[i].get(), .name = recipe.losses[i].name, .pairs = {}};
    const distill::PairsRequest request = use.loss->pairs();
    if (request.wanted) {
      if (teacher == nullptr)
        throw UserError(recipe.losses[i].plugin.place + ": [" + use.loss->id() +
                        "] compares features with a teacher's, and the recipe has no [teacher]");
      use.pairs =
          distill::feature_pairs(*teacher, student.tree, student.origins ? &*student.origins : nullptr, request, left_out);
    }
    uses.push_back(std::move(use));
    index.push_back(i);
  }
  distill::JointOptions options{.batch = shape.batch, .height = shape.height, .width = shape.width, .tokens = shape.tokens};
  options.predicts_v = recipe.predicts_v;
  options.weights_are_inputs = true;
  options.outputs = losses.outputs;
  if (recipe.train.precision != DType::kF32)
    options.unet = [compute = recipe.train.precision](const Graph& unet) {
      passes::Context context;
      context.compute = compute;
      return passes::mixed_precision(unet, context);
    };
  distill::JointGraph joint = distill::build_joint_graph(teacher, student.tree, uses, options);
  for (auto* terms : {&joint.terms, &joint.logged})
    for (distill::JointTerm& term : *terms) term.use = index[term.use];
  return joint;
}

std::string gradient_name(const std::string& tensor) { return "d." + tensor; }

TrainingOptions training_options(const TrainSpec& train) {
  TrainingOptions options{.accumulate = train.accumulate > 1};
  if (train.recompute_above_mib) options.recompute_above_bytes = static_cast<uint64_t>(*train.recompute_above_mib) << 20;
  return options;
}

lower::CallList compile_for_training(const Graph& graph, const std::shared_ptr<lower::Backend>& backend,
                                     std::optional<uint64_t> recompute_above_bytes) {
  inspect::SessionOptions options;
  options.backend = backend;
  options.recompute_above_bytes = recompute_above_bytes;
  // A fused op of the reference rounds once where its parts round several times, and the student, whose parts the backward pass
  // reads, is not fused where the teacher is. Equal models then give equal values.
  if (backend == nullptr) options.disabled_passes = {"fuse"};
  return inspect::compile(graph, options);
}

namespace {

/// `graph` with its inputs first and each addition to a gradient's buffer directly after the gradient is made, which would take
/// room in the arena to the end of the step otherwise.
Graph with_early_sums(const Graph& graph) {
  const auto is_sum = [](const Node& node) { return node.kind == NodeKind::kOp && node.is(ops::accumulate_def); };
  std::vector<std::vector<uint32_t>> sums(graph.nodes().size());  // by the node that makes the gradient
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < sums.size(); ++i) {
    const Node& node = graph.node(i);
    if (node.kind == NodeKind::kInput) order.push_back(i);
    if (is_sum(node)) sums[graph.info(node.inputs[1]).node].push_back(i);
  }
  for (uint32_t i = 0; i < sums.size(); ++i) {
    if (graph.node(i).kind != NodeKind::kInput && !is_sum(graph.node(i))) order.push_back(i);
    order.insert(order.end(), sums[i].begin(), sums[i].end());
  }
  return reordered(graph, order);
}

}  // namespace

lower::CallList training_calls(const distill::JointGraph& joint, const TrainingOptions& options,
                               const std::shared_ptr<lower::Backend>& backend) {
  Graph graph = joint.graph;
  const std::vector<Value> gradients = autodiff::append_gradient(graph, joint.total, joint.trained);
  Builder b(graph);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::string name = gradient_name(graph.def(joint.trained[i]).label);
    const TensorType type = graph.type(joint.trained[i]);
    Value gradient = gradients[i];
    // A weight that no term depends on has a gradient of zero: the optimizer still decays it.
    if (!gradient.present()) gradient = b.constant(type, std::vector<double>(static_cast<size_t>(type.shape.elements())));
    if (options.accumulate) gradient = ops::accumulate(b, b.input(name, type), gradient);
    graph.add_output(name, gradient);
  }
  return compile_for_training(options.accumulate ? with_early_sums(graph) : graph, backend, options.recompute_above_bytes);
}

lower::CallList validation_calls(const distill::JointGraph& joint, const std::shared_ptr<lower::Backend>& backend) {
  return compile_for_training(joint.graph, backend);
}

}  // namespace espalier::train
