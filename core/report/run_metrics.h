#pragma once
// metrics.jsonl as columns.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::report {

/// Numbers by step: a column per key, in the order in which keys first appear. NaN where a row lacks the key.
struct Table {
  std::vector<std::string> keys;
  std::vector<int64_t> steps;
  std::vector<std::vector<float>> columns;  // [key][row]
  /// The column of `key`, or null.
  const std::vector<float>* find(std::string_view key) const;
};

struct RunMetrics {
  Table training, held_out;  // keys of held_out without "val/"
};

struct MetricsChoice {
  bool growing = false;                                 // a last line without its line feed is left out
  std::function<bool(const std::string&)> wanted = {};  // keys, without "val/"; empty: all
};
/// Reads RUN/metrics.jsonl. Errors: UserError with file and line for a row that is no object of numbers with a step.
RunMetrics read_metrics(const std::filesystem::path& file, const MetricsChoice& choice = {});

/// At most about `most` rows: each the mean of `window` consecutive ones, at the step of the middle one, never across a step in
/// `breaks`. With rows to spare the table itself, window 1.
struct ThinTable {
  Table table;
  size_t window = 1;
};
ThinTable thinned(const Table& table, size_t most, const std::vector<int64_t>& breaks);

/// Of the rows with a number: the mean of the first and of the last `rows`, in f64.
struct FirstLast {
  double first = 0, last = 0;
  size_t rows = 0;  // 0: there is no number
};
/// `rows`: a tenth of them, at least 1, at most 50.
FirstLast first_and_last(const std::vector<float>& column);

}  // namespace espalier::report
