#include "core/distill/text_loss.h"

#include <filesystem>
#include <map>
#include <utility>

#include "core/base/error.h"
#include "core/ir/append.h"
#include "core/ir/parse.h"
#include "core/ops/registry.h"

namespace espalier::distill {
namespace {

using Values = std::map<std::string, Value>;

/// Inputs that a loss may read, on a batch of two with extents of no meaning.
std::map<std::string, TensorType> probe(bool of_features) {
  const TensorType image = f32({2, 3, 5, 4}), feature = f32({2, 3, 5, 8}), each = f32({2});
  std::map<std::string, TensorType> inputs{
      {"output", image}, {"target", image}, {"teacher_output", image}, {"timestep", each}, {"alpha_bar", each}};
  if (of_features) inputs["teacher"] = inputs["student"] = feature;
  return inputs;
}

bool reads(const Graph& graph, const char* input) { return graph.find_input(input).present(); }

class TextLoss final : public LossStrategy {
 public:
  TextLoss(std::string text, std::string file, const PairsRequest& pairs) : text_(std::move(text)), file_(std::move(file)) {
    const Graph probed = parse_untyped(text_, ops::registry(), probe(true), file_);
    if (probed.outputs().empty()) throw UserError(file_ + ": the loss returns no term");
    if (reads(probed, "teacher") || reads(probed, "student")) {
      pairs_ = pairs;
      pairs_.wanted = true;
    }
  }

  std::string id() const override { return "file:" + file_; }
  std::string default_name() const override { return std::filesystem::path(file_).stem().string(); }
  PairsRequest pairs() const override { return pairs_; }

  std::vector<LossTerm> emit(Builder& b, const LossView& view) override {
    Values values{{"output", view.output}, {"target", view.target}, {"timestep", view.timestep}, {"alpha_bar", view.alpha_bar}};
    if (view.teacher_output.present()) values["teacher_output"] = view.teacher_output;
    std::vector<LossTerm> terms;
    if (!pairs_.wanted) add(b, values, "", terms);
    for (const PairValues& pair : view.pairs) {
      values["teacher"] = pair.teacher, values["student"] = pair.student;
      add(b, values, pair.paths.student, terms);
    }
    return terms;
  }

 private:
  void add(Builder& b, const Values& values, const std::string& label, std::vector<LossTerm>& terms) const {
    std::map<std::string, TensorType> types;
    for (const auto& [name, value] : values) types.emplace(name, b.type(value));
    const Graph graph = parse_untyped(text_, ops::registry(), types, file_);
    const std::vector<Value> made = append_graph(
        b.graph(), graph, [&](const Node& node, const TensorType&) { return values.at(node.label); },
        [&](Node& node) { node.path = b.path(); });
    for (size_t i = 0; i < made.size(); ++i) {
      std::string each = label;
      if (made.size() > 1) each += (each.empty() ? "" : "/") + graph.outputs()[i].name;
      terms.push_back({each, made[i]});
    }
  }

  std::string text_, file_;
  PairsRequest pairs_;
};

}  // namespace

std::unique_ptr<LossStrategy> text_loss(const std::string& text, const std::string& file, const PairsRequest& pairs) {
  return std::make_unique<TextLoss>(text, file, pairs);
}

bool compares_features(const std::string& text) {
  try {
    const Graph graph = parse_untyped(text, ops::registry(), probe(true));
    return reads(graph, "teacher") || reads(graph, "student");
  } catch (const UserError&) {
    return false;
  }
}

}  // namespace espalier::distill
