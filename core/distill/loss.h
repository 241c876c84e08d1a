#pragma once
// What distillation asks of a loss. Owned by the room that calls it; `plugins/` implements it over the C ABI.

#include <functional>
#include <string>
#include <vector>

#include "core/distill/feature_pairs.h"
#include "core/ir/builder.h"

namespace espalier::distill {

/// How a parameter of a loss starts: zeros, `scale` everywhere, normal of deviation `scale`, or `scale` on the diagonal of a
/// matrix.
struct ParamInit {
  enum Kind { kZeros, kConstant, kNormal, kIdentity } kind = kZeros;
  double scale = 0;
};

/// A trainable tensor of a loss: an adapter, a learned weight. Its name begins with kLossPrefix and the loss's.
struct LossParam {
  std::string name;
  TensorType type;
  ParamInit init;
};
inline constexpr const char* kLossPrefix = "loss.";

/// A pair with its values: images [N,H,W,C], tokens [N,L,C]; of equal shape, or for a loss of any width but for C.
struct PairValues {
  FeaturePair paths;
  Value teacher, student;
};

/// Values of the joint graph as a loss reads them, all f32. The teacher's are under stop_gradient.
struct LossView {
  bool predicts_v = false;
  Value output;          // the student's prediction [N,H,W,C]
  Value teacher_output;  // absent without a teacher
  Value target;          // noise, or velocity
  Value timestep;        // [N]
  Value alpha_bar;       // [N]
  std::vector<PairValues> pairs;
  /// A parameter of this loss, trained with the student; the same name again gives the same value.
  /// Errors: UserError for a name that is taken by another type.
  std::function<Value(const std::string& name, const TensorType& type, const ParamInit& init)> param = {};
};

/// A scalar of the graph. `label` tells the terms of one loss apart; feature terms carry the student's block path. One that is
/// `logged` is written to the metrics and is no part of the loss.
struct LossTerm {
  std::string label;
  Value value;
  bool logged = false;
};

class LossStrategy {
 public:
  virtual ~LossStrategy() = default;
  virtual std::string id() const = 0;
  /// Key of its terms in the metrics where the recipe gives none.
  virtual std::string default_name() const = 0;
  /// Which pairs it compares; `wanted` is false where it compares none.
  virtual PairsRequest pairs() const = 0;
  /// Whether it takes pairs whose channels differ.
  virtual bool any_width() const { return false; }
  /// Emits the loss. Errors: UserError with the plugin's text when it refuses; VerifyError of an op that it emits wrongly.
  virtual std::vector<LossTerm> emit(Builder& b, const LossView& view) = 0;
};

}  // namespace espalier::distill
