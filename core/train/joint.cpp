#include "core/train/joint.h"

#include "core/autodiff/gradient.h"
#include "core/base/error.h"
#include "core/inspect/session.h"
#include "core/ops/accumulate.h"

namespace espalier::train {

distill::JointGraph joint_graph(const Recipe& recipe, const Losses& losses, const Structure& student,
                                const model::BlockTree* teacher, const data::BatchShape& shape,
                                std::vector<std::string>* left_out) {
  std::vector<distill::LossUse> uses;
  for (size_t i = 0; i < losses.made.size(); ++i) {
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
  }
  distill::JointOptions options{.batch = shape.batch, .height = shape.height, .width = shape.width, .tokens = shape.tokens};
  options.predicts_v = recipe.predicts_v;
  options.weights_are_inputs = true;
  return distill::build_joint_graph(teacher, student.tree, uses, options);
}

std::string gradient_name(const std::string& tensor) { return "d." + tensor; }

lower::CallList compile_for_training(const Graph& graph, const std::shared_ptr<lower::Backend>& backend) {
  inspect::SessionOptions options;
  options.backend = backend;
  // A fused op of the reference rounds once where its parts round several times, and the student, whose parts the backward pass
  // reads, is not fused where the teacher is. Equal models then give equal values.
  if (backend == nullptr) options.disabled_passes = {"fuse"};
  return inspect::compile(graph, options);
}

lower::CallList training_calls(const distill::JointGraph& joint, bool accumulate,
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
    if (accumulate) gradient = ops::accumulate(b, b.input(name, type), gradient);
    graph.add_output(name, gradient);
  }
  return compile_for_training(graph, backend);
}

lower::CallList validation_calls(const distill::JointGraph& joint, const std::shared_ptr<lower::Backend>& backend) {
  return compile_for_training(joint.graph, backend);
}

}  // namespace espalier::train
