#pragma once
// The joint graph of a recipe for one bucket, and its call lists.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/data/source.h"
#include "core/distill/joint_graph.h"
#include "core/lower/backend.h"
#include "core/lower/call_list.h"
#include "core/train/recipe.h"
#include "core/train/student.h"

namespace espalier::train {

/// The losses of a recipe, made once for a run, in its order.
struct Losses {
  std::vector<std::unique_ptr<distill::LossStrategy>> made;
  bool outputs = false;              // metrics read the predictions: they are outputs of the graph
  std::vector<std::string> metrics;  // keys of metrics, without "val/"
};

/// Teacher (null: none) and student on batches of `shape`, with the losses of `stage`; the student's tensors are inputs of the
/// graph. A term's `use` is the index of its [[loss]]. `left_out`, where given, gets a line for each feature without a
/// counterpart. Errors: those of feature_pairs and build_joint_graph.
distill::JointGraph joint_graph(const Recipe& recipe, const Losses& losses, size_t stage, const Structure& student,
                                const model::BlockTree* teacher, const data::BatchShape& shape,
                                std::vector<std::string>* left_out);

/// Name of a tensor's gradient: output of the training graph, with `accumulate` also an input that it is added to.
std::string gradient_name(const std::string& tensor);

/// How a step that trains differs from one that validates.
struct TrainingOptions {
  bool accumulate = false;  // gradients are added to what their buffers hold
  std::optional<uint64_t> recompute_above_bytes = {};
};
TrainingOptions training_options(const TrainSpec& train);

/// With gradients of every trained tensor. Values that the arena has no room for, by the options, are computed again.
lower::CallList training_calls(const distill::JointGraph& joint, const TrainingOptions& options,
                               const std::shared_ptr<lower::Backend>& backend);
/// The terms alone.
lower::CallList validation_calls(const distill::JointGraph& joint, const std::shared_ptr<lower::Backend>& backend);
/// `graph` as every executable of a training step is compiled.
lower::CallList compile_for_training(const Graph& graph, const std::shared_ptr<lower::Backend>& backend,
                                     std::optional<uint64_t> recompute_above_bytes = {});

}  // namespace espalier::train
