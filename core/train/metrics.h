#pragma once
// A run's numbers: metrics.jsonl for programs, a TensorBoard event file for people, both cut back to a checkpoint on resume.

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace espalier::train {

using NamedNumbers = std::vector<std::pair<std::string, float>>;

/// Lengths of both files at a moment.
struct MetricsMark {
  uint64_t jsonl_bytes = 0, event_bytes = 0;
};

/// A file that rows are appended to.
class AppendFile {
 public:
  /// Opens or creates it, cut to `keep_bytes`. Errors: UserError with the path and the system's reason; a file that is shorter
  /// than `keep_bytes` is one.
  AppendFile(std::filesystem::path file, uint64_t keep_bytes);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  /// Errors: UserError; a row is then cut off again.
  void append(const std::string& bytes);
  /// On the disk when it returns.
  void sync();
  uint64_t bytes() const { return bytes_; }

 private:
  std::filesystem::path file_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
};

class Metrics {
 public:
  /// `folder`/metrics.jsonl and `folder`/tensorboard/events.out.tfevents.espalier, both cut to `mark`.
  Metrics(const std::filesystem::path& folder, const MetricsMark& mark);
  /// A row {"step":…, numbers…}; the same scalars to TensorBoard, with `extra` ones that only people look at.
  void row(int64_t step, const NamedNumbers& numbers, const NamedNumbers& extra = {});
  void sync();
  MetricsMark mark() const { return {rows_.bytes(), events_.bytes()}; }

 private:
  AppendFile rows_, events_;
};

/// A row of metrics.jsonl, line feed included. Numbers are written so that they read back as the same f32.
std::string metrics_line(int64_t step, const NamedNumbers& numbers);

}  // namespace espalier::train
