#include "core/report/run_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/base/error.h"

namespace espalier::report {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

/// Fills a table row by row.
class Filler {
 public:
  explicit Filler(Table& table) : table_(table) {}
  void row(int64_t step) {
    table_.steps.push_back(step);
    for (std::vector<float>& column : table_.columns) column.push_back(kNone);
  }
  void set(const std::string& key, float value) {
    const auto [at, added] = places_.emplace(key, table_.keys.size());
    if (added) {
      table_.keys.push_back(key);
      table_.columns.emplace_back(table_.steps.size(), kNone);
    }
    table_.columns[at->second].back() = value;
  }

 private:
  Table& table_;
  std::unordered_map<std::string, size_t> places_;
};

bool is_held_out(const std::string& key) { return key.rfind("val/", 0) == 0; }

/// Adds a line to the table that it belongs to, its keys in the file's order. False when it is no row.
bool read_row(const std::string& line, const MetricsChoice& choice, Filler& training, Filler& held_out) {
  const auto row = nlohmann::ordered_json::parse(line, nullptr, false);
  if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) return false;
  bool validates = false;
  for (const auto& [key, value] : row.items()) {
    if (!value.is_number()) return false;
    validates = validates || is_held_out(key);
  }
  Filler& filler = validates ? held_out : training;
  filler.row(row["step"].get<int64_t>());
  for (const auto& [key, value] : row.items()) {
    if (key == "step") continue;
    const std::string name = is_held_out(key) ? key.substr(4) : key;
    if (!choice.wanted || choice.wanted(name)) filler.set(name, value.get<float>());
  }
  return true;
}

}  // namespace

const std::vector<float>* Table::find(std::string_view key) const {
  const auto at = std::find(keys.begin(), keys.end(), key);
  return at == keys.end() ? nullptr : &columns[static_cast<size_t>(at - keys.begin())];
}

RunMetrics read_metrics(const std::filesystem::path& file, const MetricsChoice& choice) {
  RunMetrics metrics;
  Filler training(metrics.training), held_out(metrics.held_out);
  std::ifstream lines(file);
  if (!lines) throw UserError("[" + file.string() + "] the metrics of the run cannot be read");
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    if (choice.growing && lines.eof()) break;
    ++number;
    if (!read_row(line, choice, training, held_out))
      throw UserError(fmt::format("{}:{}: is no row of metrics: an object of numbers with a step", file.string(), number));
  }
  return metrics;
}

ThinTable thinned(const Table& table, size_t most, const std::vector<int64_t>& breaks) {
  const size_t rows = table.steps.size(), window = (rows + most - 1) / std::max<size_t>(most, 1);
  if (window <= 1) return {table, 1};
  ThinTable thin{{table.keys, {}, std::vector<std::vector<float>>(table.keys.size())}, window};
  const auto is_break = [&](size_t row) { return std::find(breaks.begin(), breaks.end(), table.steps[row]) != breaks.end(); };
  for (size_t begin = 0; begin < rows;) {
    size_t end = begin + 1;
    while (end < rows && end - begin < window && !is_break(end)) ++end;
    thin.table.steps.push_back(table.steps[begin + (end - begin) / 2]);
    for (size_t key = 0; key < table.keys.size(); ++key) {
      double sum = 0;
      int64_t count = 0;
      for (size_t row = begin; row < end; ++row)
        if (const float value = table.columns[key][row]; !std::isnan(value)) sum += value, ++count;
      thin.table.columns[key].push_back(count == 0 ? kNone : static_cast<float>(sum / static_cast<double>(count)));
    }
    begin = end;
  }
  return thin;
}

FirstLast first_and_last(const std::vector<float>& column) {
  std::vector<float> there;
  std::copy_if(column.begin(), column.end(), std::back_inserter(there), [](float value) { return !std::isnan(value); });
  FirstLast found;
  if (there.empty()) return found;
  found.rows = std::clamp<size_t>(there.size() / 10, 1, 50);
  for (size_t i = 0; i < found.rows; ++i) {
    found.first += there[i] / static_cast<double>(found.rows);
    found.last += there[there.size() - 1 - i] / static_cast<double>(found.rows);
  }
  return found;
}

}  // namespace espalier::report
