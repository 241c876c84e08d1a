#pragma once
// What a strategy can learn of a model's units on real batches. Owned by the room that hands it on; core/calibrate implements it.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/io/tensor_source.h"
#include "core/model/block_tree.h"

namespace espalier::prune {

enum class UnitKind : int32_t { kTransformerBlock = 1, kAttention, kResnet, kPair, kMidBlock, kMidTail, kStage, kModule };

/// A unit by its name: one path may be of several kinds.
struct UnitName {
  std::string path;
  UnitKind kind = UnitKind::kModule;
  bool operator==(const UnitName&) const = default;
};

/// Means over the calibration batches: `task` of (prediction - target)², `output` of (prediction - that of the whole model)².
struct Score {
  double task = 0, output = 0;
};

/// Of a unit's gate at 1: the mean of the batches' gradients of the task loss, and of their absolute values.
struct GateGradient {
  double mean = 0, magnitude = 0;
};

/// What a unit does to its input x, y = f(x): the mean over places (pixels, tokens) of the cosine between them, and |y - x| /
/// |x|.
struct UnitStatistics {
  double cosine = 0, relative_norm = 0;
};

/// One model on one set of batches. Results are kept: asking again costs nothing.
///
/// A unit of several parts (a pair, the middle's tail) has all their gates: removed together, gradients summed, statistics
/// averaged. Errors: UserError for a name that is no unit (nearest), or a unit without a gate (a whole stage); Interrupted.
class Calibration {
 public:
  virtual ~Calibration() = default;
  virtual int64_t batches() const = 0;
  /// The same values in another place: what was given before may be gone.
  virtual void weights_are_in(io::TensorSourcePtr) {}
  /// One score for each set of units that is removed; the empty set is the model as it is.
  virtual std::vector<Score> evaluate(const std::vector<std::vector<UnitName>>& sets) = 0;
  virtual std::vector<GateGradient> gate_gradients(const std::vector<UnitName>& units) = 0;
  virtual std::vector<UnitStatistics> statistics(const std::vector<UnitName>& units) = 0;
  /// Milliseconds in a forward pass of the first batch, the median of a few; `whole`: of the model.
  virtual std::vector<double> latency(const std::vector<UnitName>& units, double& whole) = 0;
};

using CalibrationPtr = std::shared_ptr<Calibration>;

}  // namespace espalier::prune
