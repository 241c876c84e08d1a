#pragma once
// What a model consists of and costs, block by block. Reads no weights, only the structure and the tensors' types.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ir/graph.h"
#include "core/model/model.h"

namespace espalier::inspect {

/// One block of the tree, with everything below it counted in.
struct BlockSummary {
  std::string path;    // "down_blocks.1.attentions.0"; the root's is ""
  std::string name;    // the last part that tells it from its siblings: "attentions.0"
  std::string kind;    // as in model::block_refs; "module" outside the stages, "model" for the root
  std::string detail;  // "640 channels, 10 heads"
  std::string origin;  // the teacher's path where it is another one
  int64_t parameters = 0, tensors = 0;
  uint64_t weight_bytes = 0;                           // in the files' types; f16 on a lone config
  double flops = 0, other_flops = 0, moved_bytes = 0;  // one forward pass; 0 without a size
  std::vector<BlockSummary> children;                  // in module order: resnets, attentions, samplers
};

struct ModelSummary {
  BlockSummary root;  // children: conv_in, time_embedding, …, down_blocks.0, …, conv_out in execution order
  int64_t parameters = 0, tensors = 0, resnets = 0, transformer_blocks = 0;
  int64_t height = 0, width = 0, tokens = 0;  // what flops are for; height 0: the config names no size
  std::string dtype;                          // of the weights: "f16", "f16 and f32"; "" on a lone config
  std::string structure_hash;
  std::vector<model::LoaderVerdict> loaders;
};

struct SummaryOptions {
  int64_t height = 0, width = 0;  // 0: the config's sample_size
  int64_t tokens = 77;
};

/// Counts parameters from the tree's tensors and FLOPs from the op costs of the graph at batch 1.
/// Cost: SDXL in well under a second.
ModelSummary summarise(const model::Model& model, const SummaryOptions& options = {});

/// Where a node belongs: its block path; outside the stages the module whose parameters it reads ("time_embedding.linear_1");
/// "" when it reads none.
std::string owner_of(const Graph& graph, const Node& node);

/// The object that `inspect --json` prints (parameters, tensors, resnets, transformer_blocks,
/// flops, blocks, loaders, …). `flops` is null when there is no size.
std::string to_json(const ModelSummary& summary);

struct TreeOptions {
  bool expand = false;  // every block on a line of its own, down to attn1, attn2, ff
};
/// The tree as text: totals, one line per block with equal neighbours on one line, loader verdicts.
std::string to_text(const ModelSummary& summary, const std::string& title, const TreeOptions& options = {});

}  // namespace espalier::inspect
