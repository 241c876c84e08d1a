#pragma once
// What distillation asks of a loss. Owned by the room that calls it; `plugins/` implements it over the C ABI.

#include <string>
#include <vector>

#include "core/distill/feature_pairs.h"
#include "core/ir/builder.h"

namespace espalier::distill {

/// A pair with its values, of equal shape: images [N,H,W,C], tokens [N,L,C].
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
};

/// A scalar of the graph. `label` tells the terms of one loss apart; feature terms carry the student's block path.
struct LossTerm {
  std::string label;
  Value value;
};

class LossStrategy {
 public:
  virtual ~LossStrategy() = default;
  virtual std::string id() const = 0;
  /// Key of its terms in the metrics where the recipe gives none.
  virtual std::string default_name() const = 0;
  /// Which pairs it compares; `wanted` is false where it compares none.
  virtual PairsRequest pairs() const = 0;
  /// Emits the loss. Errors: UserError with the plugin's text when it refuses; VerifyError of an op that it emits wrongly.
  virtual std::vector<LossTerm> emit(Builder& b, const LossView& view) = 0;
};

}  // namespace espalier::distill
