#include <algorithm>

#include "strategies/prune/common/structure.h"

namespace {

bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool within(std::string_view path, std::string_view block) {
  return path.substr(0, block.size()) == block && (path.size() == block.size() || path[block.size()] == '.');
}

/// Removes what the globs name. A glob that names a block takes all that is in it; a resnet takes its attention module along.
struct Blocks : esp::prune<Blocks> {
  static constexpr std::string_view id = "espalier.prune.blocks";
  static constexpr std::string_view doc = "Removes the blocks that the globs name; * also crosses dots.";
  esp::globs remove;
  static auto params() {
    return std::tuple{
        esp::param{&Blocks::remove, "remove", "globs over block paths, e.g. down_blocks.2.attentions.0.transformer_blocks.*"}
            .required()};
  }

  void plan(const esp::prune_view& model, esp::prune_plan& out) const {
    std::vector<const esp::unit*> chosen;
    for (const std::string& glob : remove) {
      bool named = false, took = false;
      std::string why_not;
      for (const esp::unit& u : model.units()) {
        if (!matches(glob, u.path())) continue;
        named = true;
        if (covered(chosen, u)) {
          took = true;
        } else if (u.removable()) {
          chosen.push_back(&u);
          took = true;
        } else if (why_not.empty()) {
          why_not = std::string(u.path()) + " cannot go: " + std::string(u.why_not());
        }
      }
      if (!named) throw esp::invalid("remove: no block is named by '" + glob + "'");
      if (!took) throw esp::invalid("remove: '" + glob + "' names nothing that can go; " + why_not);
    }
    for (const esp::unit* u : chosen) out.remove(*u, "named by remove");
  }

 private:
  /// Whether a chosen unit already takes `u` along.
  static bool covered(const std::vector<const esp::unit*>& chosen, const esp::unit& u) {
    return std::any_of(chosen.begin(), chosen.end(), [&](const esp::unit* c) {
      if (within(u.path(), c->path())) return true;
      if (c->kind() == ESP_UNIT_PAIR) {  // the attention module beside the resnet
        std::string attention(c->path());
        attention.replace(attention.find(".resnets."), 9, ".attentions.");
        return within(u.path(), attention);
      }
      // All attention modules of a stage go at once.
      if (c->kind() == ESP_UNIT_ATTENTION) return within(u.path(), std::string(c->module()) + ".attentions");
      if (c->kind() == ESP_UNIT_MID_TAIL) return u.path() == "mid_block.resnets.1";
      if (c->kind() == ESP_UNIT_STAGE) return within(u.path(), "up_blocks.0") || within(u.path(), "mid_block");
      return false;
    });
  }
};

}  // namespace

ESP_PLUGIN("espalier.prune.blocks", "0.1.0", "espalier", "none declared", Blocks)
