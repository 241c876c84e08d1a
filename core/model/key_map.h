#pragma once
// Tensor names of the original ("sgm") layout: input_blocks, middle_block, output_blocks. Both ways, as data.

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/model/block_tree.h"

namespace espalier::model {

/// The names of one structure in both layouts. Blocks are counted from the tree, so that pruned structures get
/// contiguous indices. Names carry no checkpoint prefix.
class KeyMap {
 public:
  explicit KeyMap(const BlockTree& tree);

  /// (diffusers name, original name) of every tensor, in the order of tensor_specs.
  const std::vector<std::pair<std::string, std::string>>& rows() const { return rows_; }
  /// The other layout's name; "" when the structure has no such tensor.
  std::string original(std::string_view diffusers_name) const;
  std::string diffusers(std::string_view original_name) const;

 private:
  std::vector<std::pair<std::string, std::string>> rows_;
  std::unordered_map<std::string, size_t> by_diffusers_, by_original_;
};

}  // namespace espalier::model
