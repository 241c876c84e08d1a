// Removes whole transformer blocks, the last of the deepest modules first, until a share of the parameters is gone.

#include <algorithm>
#include <espalier/sdk.hpp>

struct Budget : esp::prune<Budget> {
  static constexpr std::string_view id = "com.example.prune.budget";
  static constexpr std::string_view doc =
      "Removes the last blocks of the deepest attention modules down to a share of the parameters.";
  double share = 0.25;
  static auto params() {
    return std::tuple{esp::param{&Budget::share, "share", 0.0, 0.9, "of the blocks' parameters, what may go"}};
  }

  void plan(const esp::prune_view& model, esp::prune_plan& out) const {
    std::vector<const esp::unit*> blocks;
    for (const esp::unit& u : model.units())
      if (u.kind() == ESP_UNIT_TRANSFORMER_BLOCK && u.removable()) blocks.push_back(&u);
    double left = 0;
    for (const esp::unit* u : blocks) left += share * static_cast<double>(u->parameters());
    std::stable_sort(blocks.begin(), blocks.end(), [](auto* a, auto* b) { return a->index() > b->index(); });
    for (const esp::unit* u : blocks) {
      if (u->index() == 0 || u->parameters() > left) continue;  // a module keeps its first block
      left -= static_cast<double>(u->parameters());
      out.remove(*u, "within the budget");
    }
  }
};

ESP_PLUGIN("com.example.prune", "1.0.0", "Example", "MIT", Budget)
