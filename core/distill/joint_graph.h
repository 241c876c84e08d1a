#pragma once
// Teacher and student on one noisy batch, and the losses between them: everything up to the total, as one graph.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/distill/loss.h"
#include "core/model/block_tree.h"

namespace espalier::distill {

/// One [[loss]] of a recipe.
struct LossUse {
  LossStrategy* loss = nullptr;    // not owned
  std::string name;                // key of its terms; empty: the loss's own default
  std::vector<FeaturePair> pairs;  // for a loss that wants pairs
};

struct JointOptions {
  int64_t batch = 1, height = 0, width = 0, tokens = 77;  // of the latent, in pixels
  bool predicts_v = false;                                // v-prediction; else epsilon
  bool weights_are_inputs = false;                        // the student's tensors are inputs of the graph: they change
  bool outputs = false;                                   // the predictions are outputs too
  // What goes in instead of each UNet's graph; its inputs and outputs are f32 all the same. The student's own tensors stay f32
  // where their parameters become narrower.
  std::function<Graph(const Graph&)> unet = {};
};

/// Parameters of the teacher carry this before their name, its nodes before their block path; all of it is frozen.
inline constexpr const char* kTeacherPrefix = "teacher.";

struct JointTerm {
  std::string key;  // in the metrics: "task", "feature/down_blocks.0.resnets.1"
  size_t use = 0;   // which LossUse
};

/// Inputs: latents, noise [N,H,W,C], timestep, alpha_bar [N], encoder_hidden_states, text_embeds and time_ids where the config
/// asks for them, loss_weights [terms]. Outputs: "total", a scalar, "terms" [terms] before their weights, "logged" [logged] where
/// losses log values; with `outputs` also "output", "target" and "teacher_output".
struct JointGraph {
  Graph graph;
  std::vector<JointTerm> terms;
  std::vector<JointTerm> logged;  // output "logged", where there are any
  Value total;
  std::vector<Value>
      trained;  // tensors of the student and of losses, parameters or inputs, in the order that the graph reads them
  std::vector<LossParam> params;  // of losses
};

/// Builds it. `teacher` may be null: then no loss gets a teacher's output, and none may want pairs.
///
/// Formula: noisy = √ᾱ · latents + √(1-ᾱ) · noise; the target is the noise, or v = √ᾱ · noise - √(1-ᾱ) · latents;
/// total = Σ loss_weights[k] · terms[k].
/// Errors: UserError for latents or embeddings of other widths in teacher and student, a pair of unequal shapes, a term that is
/// no scalar, two terms with one key, a loss without a term: all that are found in one loss at once.
/// Cost: that of both graphs; a few ms for SDXL.
JointGraph build_joint_graph(const model::BlockTree* teacher, const model::BlockTree& student, const std::vector<LossUse>& losses,
                             const JointOptions& options);

}  // namespace espalier::distill
