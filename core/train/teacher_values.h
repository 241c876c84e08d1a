#pragma once
// What the teacher made of a batch, kept in a folder for other runs that see the same batch.
//
//   FOLDER/used                                what the files take, in bytes
//   FOLDER/<key>/step-00000042.safetensors     of micro-batch 42
//   FOLDER/<key>/val-00000003.safetensors      of held-out batch 3
//
// Any number of runs read and write at once: a file appears whole, the first one stays. Nothing here decides what a run computes,
// with one exception: as f16 the values are rounded, and every run of the folder goes by the rounded ones, also where it makes
// them itself.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/distill/teacher_cut.h"
#include "core/train/recipe.h"

namespace espalier::train {

struct TeacherValuesSpec {
  std::filesystem::path folder;
  DType dtype = DType::kF32;  // or kF16
  uint64_t limit_bytes = uint64_t{20} << 30;
};

/// Which batch of a source.
struct BatchName {
  bool held_out = false;
  int64_t index = 0;
};

/// One buffer for each value, in their order.
using TeacherBuffers = std::vector<std::vector<float>>;

/// The folder as one run uses it.
class TeacherFolder {
 public:
  TeacherFolder(TeacherValuesSpec spec, std::function<void(const std::string&)> say)
      : spec_(std::move(spec)), say_(std::move(say)) {}
  const TeacherValuesSpec& spec() const { return spec_; }

  /// What is kept for a batch, into `to`. False where nothing is, or what is there is damaged: that is said and removed.
  /// Cost: reads the file once, and its SHA-256.
  bool read(const std::string& key, const BatchName& batch, const std::vector<distill::TeacherValue>& values, TeacherBuffers& to);
  /// Keeps `from`, which as f16 must be rounded already, unless it is there or the folder is full. Says once that it is full, or
  /// that it cannot be written; nothing more is then written. Guarantees: files never take more than the limit, whoever writes
  /// beside; whoever is killed leaves at most one file's bytes counted too many.
  void write(const std::string& key, const BatchName& batch, const std::vector<distill::TeacherValue>& values,
             const TeacherBuffers& from);

  /// "the teacher's values of 5 batches were read, of 3 computed (3 kept)"; "" where there were none. Counts from the last call.
  std::string tally();
  int64_t computed = 0;

 private:
  std::filesystem::path file(const std::string& key, const BatchName& batch) const;
  bool reserve(int64_t bytes) const;
  void give_back(uint64_t bytes) const;

  TeacherValuesSpec spec_;
  std::function<void(const std::string&)> say_;
  bool closed_ = false;  // nothing more is written
  int64_t read_ = 0, kept_ = 0;
};

/// What a stage's values depend on besides the graph that makes them: the teacher, the data, the noise, the batches. `prints` are
/// those of fingerprints_of. Held-out batches are the same for every seed.
std::string teacher_values_text(const Recipe& recipe, const std::map<std::string, std::string>& prints, size_t stage,
                                bool held_out);

/// Bytes of all files below `folder`; 0 where it is not there.
uint64_t bytes_kept(const std::filesystem::path& folder);

/// Bytes of a batch's file, but for its header.
uint64_t bytes_of(const std::vector<distill::TeacherValue>& values, DType dtype);

}  // namespace espalier::train
