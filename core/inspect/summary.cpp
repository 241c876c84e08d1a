// Costs are booked on the dotted prefixes of a node's path or a tensor's name, so that a block's figures always contain
// those of everything below it.

#include "core/inspect/summary.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/model/unet_graph.h"

namespace espalier::inspect {
namespace {

struct Totals {
  int64_t parameters = 0, tensors = 0;
  uint64_t weight_bytes = 0;
  double flops = 0, other_flops = 0, moved_bytes = 0;
};
using Book = std::unordered_map<std::string, Totals>;

/// Calls f with "a", "a.b", "a.b.c" for "a.b.c", and with "" first.
template <typename F>
void each_prefix(const std::string& path, F&& f) {
  f(std::string());
  for (size_t at = path.find('.'); at != std::string::npos; at = path.find('.', at + 1)) f(path.substr(0, at));
  if (!path.empty()) f(path);
}

std::string dtype_text(const std::set<std::string>& dtypes) {
  std::vector<std::string> names(dtypes.begin(), dtypes.end());
  return join(names, " and ");
}

void book_tensors(const model::Model& model, const std::vector<model::TensorSpec>& specs, Book& book, ModelSummary& summary) {
  std::set<std::string> dtypes;
  for (const model::TensorSpec& spec : specs) {
    const int64_t elements = spec.shape.elements();
    uint64_t bytes = 2 * static_cast<uint64_t>(elements);
    if (model.has_weights()) {
      const TensorType type = model.weights->get(spec.name).type;
      bytes = type.bytes();
      dtypes.insert(std::string(name_of(type.dtype)));
    }
    each_prefix(spec.name, [&](const std::string& prefix) {
      Totals& totals = book[prefix];
      totals.parameters += elements;
      totals.weight_bytes += bytes;
      ++totals.tensors;
    });
  }
  summary.dtype = dtype_text(dtypes);
}

void book_nodes(const Graph& graph, Book& book) {
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kOp) continue;
    const Cost cost = (*node.op->cost)(graph.call(node));
    each_prefix(owner_of(graph, node), [&](const std::string& prefix) {
      Totals& totals = book[prefix];
      totals.flops += cost.flops;
      totals.other_flops += cost.other_flops;
      totals.moved_bytes += cost.bytes_read + cost.bytes_written;
    });
  }
}

std::string counted(int64_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

std::string detail_of(const model::Resnet& resnet) {
  std::string text = std::to_string(resnet.in_channels);
  if (resnet.skip_channels > 0)
    text = std::to_string(resnet.in_channels - resnet.skip_channels) + "+" + std::to_string(resnet.skip_channels);
  return text + " → " + std::to_string(resnet.out_channels);
}

std::string detail_of(const model::Attention& attention) {
  return counted(attention.channels, "channel") + ", " + counted(attention.heads, "head") + ", depth " +
         std::to_string(attention.blocks.size());
}

std::string detail_of(const model::Stage& stage) {
  return counted(stage.channels, "channel") + (stage.cross_attention ? ", attends" : "");
}

/// The descriptions of a tree's blocks by kind, in execution order: the n-th resnet of block_refs is the n-th here.
std::map<std::string, std::vector<std::string>> details_in_order(const model::BlockTree& tree) {
  std::map<std::string, std::vector<std::string>> details;
  const auto block = [&](const model::Attention& attention) {
    details["attention"].push_back(detail_of(attention));
    for (const model::TransformerBlock& inner : attention.blocks)
      details["transformer_block"].push_back(inner.padded ? "padded: an identity" : "");
  };
  const auto stages = [&](const std::vector<model::Stage>& list) {
    for (const model::Stage& stage : list) {
      details["stage"].push_back(detail_of(stage));
      for (const model::Layer& layer : stage.layers) {
        details["resnet"].push_back(detail_of(layer.resnet));
        if (layer.attention) block(*layer.attention);
      }
    }
  };
  stages(tree.down);
  if (tree.mid) {
    for (size_t i = 0; i < tree.mid->resnets.size(); ++i) {
      details["resnet"].push_back(detail_of(tree.mid->resnets[i]));
      if (i == 0 && tree.mid->attention) block(*tree.mid->attention);
    }
    if (tree.mid->resnets.empty() && tree.mid->attention) block(*tree.mid->attention);
  }
  stages(tree.up);
  return details;
}

void fill(BlockSummary& block, const Book& book) {
  const auto found = book.find(block.path);
  if (found == book.end()) return;
  const Totals& totals = found->second;
  block.parameters = totals.parameters;
  block.tensors = totals.tensors;
  block.weight_bytes = totals.weight_bytes;
  block.flops = totals.flops;
  block.other_flops = totals.other_flops;
  block.moved_bytes = totals.moved_bytes;
}

/// Hangs every block of `flat` below the nearest block that contains it.
void nest(BlockSummary& root, const std::vector<BlockSummary>& flat) {
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < flat.size(); ++i) index.emplace(flat[i].path, i);
  std::vector<std::vector<size_t>> below(flat.size() + 1);  // the last entry is the root's
  for (size_t i = 0; i < flat.size(); ++i) {
    size_t parent = flat.size();
    each_prefix(flat[i].path, [&](const std::string& prefix) {
      if (const auto found = index.find(prefix); found != index.end() && found->second != i) parent = found->second;
    });
    below[parent].push_back(i);
  }
  const auto rank = [](const BlockSummary& block) {
    return block.kind == "attention" ? 1 : block.kind == "downsampler" || block.kind == "upsampler" ? 2 : 0;
  };
  const auto adopt = [&](auto&& self, BlockSummary& parent, size_t at) -> void {
    for (const size_t child : below[at]) {
      BlockSummary block = flat[child];
      block.name = parent.path.empty() ? block.path : block.path.substr(parent.path.size() + 1);
      self(self, block, child);
      parent.children.push_back(std::move(block));
    }
    if (parent.kind == "stage" || parent.kind == "mid_block")
      std::stable_sort(parent.children.begin(), parent.children.end(),
                       [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  };
  adopt(adopt, root, flat.size());
}

/// The root's children in the order in which they run, whatever their kind.
int stage_rank(const std::string& path) {
  static const std::vector<std::string> kOrder = {"time_embedding", "add_embedding", "conv_in",       "down_blocks",
                                                  "mid_block",      "up_blocks",     "conv_norm_out", "conv_out"};
  const std::string first = path.substr(0, path.find('.'));
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), first) - kOrder.begin());
}

}  // namespace

std::string owner_of(const Graph& graph, const Node& node) {
  if (!node.path.empty()) return node.path;
  for (const Value input : node.inputs)
    if (input.present() && graph.def(input).kind == NodeKind::kParam) {
      const std::string& label = graph.def(input).label;
      return label.substr(0, label.rfind('.'));
    }
  return "";
}

ModelSummary summarise(const model::Model& model, const SummaryOptions& options) {
  const model::BlockTree& tree = model.tree;
  ModelSummary summary;
  summary.resnets = tree.resnets();
  summary.transformer_blocks = tree.transformer_blocks();
  summary.structure_hash = model::structure_hash(model.config);
  summary.loaders = model::loader_verdicts(tree);
  summary.height = options.height > 0 ? options.height : tree.config.sample_size;
  summary.width = options.width > 0 ? options.width : tree.config.sample_size;
  summary.tokens = options.tokens;

  const std::vector<model::TensorSpec> specs = model::tensor_specs(tree);
  Book book;
  book_tensors(model, specs, book, summary);
  if (summary.height > 0)
    book_nodes(model::build_graph(tree, {.height = summary.height, .width = summary.width, .tokens = summary.tokens}), book);

  std::vector<BlockSummary> flat;
  std::set<std::string> outside;
  for (const model::TensorSpec& spec : specs)
    if (const std::string module = spec.name.substr(0, spec.name.find('.')); spec.path.empty() && outside.insert(module).second)
      flat.push_back({.path = module, .kind = "module"});
  const auto details = details_in_order(tree);
  std::map<std::string, size_t> seen;
  for (const model::BlockRef& ref : model::block_refs(tree)) {
    BlockSummary block{.path = ref.path, .kind = ref.kind, .origin = ref.origin == ref.path ? "" : ref.origin};
    if (const auto of_kind = details.find(ref.kind); of_kind != details.end()) {
      size_t& index = seen[ref.kind];
      if (index < of_kind->second.size()) block.detail = of_kind->second[index];
      ++index;
    }
    flat.push_back(std::move(block));
  }
  for (BlockSummary& block : flat) fill(block, book);
  summary.root.kind = "model";
  fill(summary.root, book);
  nest(summary.root, flat);
  std::stable_sort(summary.root.children.begin(), summary.root.children.end(),
                   [](const BlockSummary& a, const BlockSummary& b) { return stage_rank(a.path) < stage_rank(b.path); });
  summary.parameters = summary.root.parameters;
  summary.tensors = summary.root.tensors;
  return summary;
}

}  // namespace espalier::inspect
