#pragma once
// Writing a cache, shard by shard.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/files.h"
#include "core/data/cache.h"

namespace espalier::data {

/// Collects rows and writes a shard whenever one is full; the folder appears whole on `finish`, or not at all.
class CacheWriter {
 public:
  /// `info` without buckets: these come from the rows, in the order of their first one. `dtype`: f32, f16 or bf16 for all
  /// tensors. Errors: UserError when `folder` is there and not empty.
  CacheWriter(const std::filesystem::path& folder, CacheInfo info, DType dtype = DType::kF32, int64_t rows_per_shard = 4096);
  ~CacheWriter();

  /// Shapes: latents [H,W,C]. Errors: UserError for an id that is there already; InternalError for shapes that contradict `info`.
  void add(std::string id, std::string caption, const exec::FloatTensor& latents, const Conditioning& conditioning);
  /// Publishes. Errors: UserError when there is no row, or for what the system refuses.
  void finish(const Conditioning& unconditional);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier::data
