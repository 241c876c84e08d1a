#pragma once
// Who runs a sweep's trials when the controller does not start the workers itself.

#include <cstdint>
#include <string>
#include <vector>

namespace espalier::sweep {

/// Somebody else's queue, such as a cluster's. All calls come from one thread, while the sweep's folder is held.
class Elsewhere {
 public:
  virtual ~Elsewhere() = default;
  /// Hands over the trials that are not settled, those left out that it has from an earlier time. Errors: UserError.
  virtual void begin(const std::vector<std::string>& ids) = 0;
  /// Whether any of them may still be run. True while that cannot be found out. Cost: a question to the queue, not more often
  /// than it can bear.
  virtual bool alive() = 0;
  /// Nobody starts another trial, and those who run one stop.
  virtual void cancel() = 0;
  /// For a user who stops looking, and for one whose queue has ended with trials left.
  virtual std::string when_left() const = 0;
  virtual std::string when_over(int64_t trials_left) const = 0;
};

}  // namespace espalier::sweep
