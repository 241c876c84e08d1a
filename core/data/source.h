#pragma once
// Where training batches come from. One interface over replayed batches, caches, and what wraps them.

#include <cstdint>
#include <string>
#include <vector>

#include "core/exec/tensor.h"

namespace espalier::data {

/// The sizes that one executable is built for. A source has one per picture size ("bucket").
struct BatchShape {
  int64_t batch = 0, height = 0, width = 0, channels = 0;  // of the latents
  int64_t tokens = 0, embedding = 0;
  int64_t pooled = 0;  // width of text_embeds; 0: neither text_embeds nor time_ids
  bool operator==(const BatchShape&) const = default;
};

/// One batch in the layouts of graphs.
///
/// Shapes: latents, noise [N,H,W,C], timestep [N] (whole numbers as f32), encoder_hidden_states [N,L,E], and where the shape
/// has `pooled`: text_embeds [N,P], time_ids [N,6].
struct Batch {
  size_t bucket = 0;  // into Source::buckets()
  exec::FloatTensors tensors;
  std::vector<std::string> ids;  // of the rows, in order; for messages
};

/// A source of batches, endless: it begins again when its rows are used up.
class Source {
 public:
  virtual ~Source() = default;
  virtual const std::vector<BatchShape>& buckets() const = 0;
  /// The batch of micro-batch `step`, from 0.
  ///
  /// Guarantees: a pure function of `step` and of what the source was opened with, so that a resumed run needs no state of it.
  /// Not for several threads at once. Errors: UserError that names file and tensor.
  virtual Batch batch(int64_t step) = 0;
  /// Held-out batches; 0 when the source holds none out.
  virtual int64_t validation_batches() const = 0;
  /// Held-out batch `index`: its rows are in no training batch; noise and timesteps are the same whatever the source's seed.
  virtual Batch validation_batch(int64_t index) = 0;
  /// Rows that training batches are made of; those held out are not among them.
  virtual int64_t rows() const = 0;
  /// What was found, kept, dropped and why: lines for people.
  virtual std::vector<std::string> describe() const = 0;
};

}  // namespace espalier::data
