#pragma once
// The tables of a sweep file as points: [grid], [zip], [random], [[list]].

#include <memory>
#include <string>
#include <vector>

#include "core/sweep/sweep_file.h"

namespace espalier::sweep {

/// Recipe paths stand in these tables quoted ("train.seed") or dotted (train.seed), which TOML reads as tables within tables.
class AxisReader {
 public:
  AxisReader(std::string file, ErrorList& errors) : file_(std::move(file)), errors_(errors) {}

  /// One factor for each path.
  std::vector<std::vector<Point>> grid(const toml::table& table);
  /// Axes of equal length, tied.
  std::vector<Point> zip(const toml::table& table);
  /// Rows, each a point. `name` is no setting.
  std::vector<Point> list(const std::vector<const toml::table*>& rows);
  /// Draws, tied; with `searched` none, only the distributions. `seed` and `space` are filled in.
  std::vector<Point> random(const toml::table& table, bool searched, uint64_t& seed, std::vector<Distribution>& space);
  /// Path → value of a row, in the file's order, without `host_keys`. `at`: keys to the row in the file.
  std::vector<Setting> settings_of(const toml::table& row, const std::vector<std::string>& at,
                                   const std::vector<std::string>& host_keys);

 private:
  struct Axis {
    std::string path;
    std::vector<Setting> values;
    std::string place;
  };
  std::vector<Axis> axes_of(const toml::table& table, const char* what);
  std::optional<Distribution> distribution(const std::string& path, const toml::table& table, const std::vector<std::string>& at,
                                           int64_t& samples, bool searched);

  std::string file_;
  ErrorList& errors_;
};

/// The cross product, the first factor slowest. Faults: a path that two factors set.
std::vector<Point> product(const std::vector<std::vector<Point>>& factors, const std::string& file, ErrorList& errors);

/// Whether the point has each of the settings; one that is an array matches each of its values.
bool matches(const Point& point, const std::vector<Setting>& wanted);

/// The value of a setting as a node that knows its place: within `root`, the sweep file parsed, out of which it is moved, or, of
/// one that is not in the file, parsed into `root`.
toml::node& node_of(toml::table& root, const Setting& setting, const std::string& file);

}  // namespace espalier::sweep
