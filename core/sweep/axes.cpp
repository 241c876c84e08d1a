#include "core/sweep/axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "core/base/rng.h"
#include "core/base/text.h"

namespace espalier::sweep {
namespace {

constexpr size_t kMostTrials = 100000;
const std::vector<std::string>& kinds() {
  static const std::vector<std::string> names{"uniform", "log_uniform", "integer", "choice"};
  return names;
}

std::shared_ptr<const toml::node> copy_of(const toml::node& node) {
  return node.visit([](const auto& each) -> std::shared_ptr<const toml::node> {
    return std::make_shared<std::remove_cvref_t<decltype(each)>>(each);
  });
}

/// A part of a path that TOML would not read bare.
std::string part_text(const std::string& part) {
  const bool bare = !part.empty() && std::all_of(part.begin(), part.end(),
                                                 [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
  return bare ? part : "'" + part + "'";
}

using Keys = std::vector<std::string>;

Keys with(Keys keys, std::string key) {
  keys.push_back(std::move(key));
  return keys;
}

/// A value of the file.
struct Found {
  std::string path;  // of the recipe
  const toml::node* node;
  Keys at;  // of the file
};

/// Paths and values of a table in the order of the file; `at`: keys to the table.
std::vector<Found> walk(const toml::table& table, const std::string& prefix, const Keys& at,
                        const std::function<bool(const toml::table&)>& is_value) {
  std::vector<Found> entries;
  for (const auto& [key, node] : table) {
    const std::string part(key.str());
    entries.push_back({prefix.empty() ? part : prefix + "." + part_text(part), &node, with(at, part)});
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Found& a, const Found& b) {
    const toml::source_position x = a.node->source().begin, y = b.node->source().begin;
    return std::pair(x.line, x.column) < std::pair(y.line, y.column);
  });
  std::vector<Found> found;
  for (Found& entry : entries) {
    const toml::table* inner = entry.node->as_table();
    if (inner == nullptr || is_value(*inner)) {
      found.push_back(std::move(entry));
      continue;
    }
    for (Found& each : walk(*inner, entry.path, entry.at, is_value)) found.push_back(std::move(each));
  }
  return found;
}

bool is_inline(const toml::table& table) { return table.is_inline(); }

bool is_distribution(const toml::table& table) {
  return table.is_inline() ||
         std::any_of(kinds().begin(), kinds().end(), [&](const std::string& kind) { return table.contains(kind); });
}

}  // namespace

std::string value_text(const toml::node& value) {
  std::ostringstream out;
  value.visit([&](const auto& each) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(each)>, toml::value<double>>) {
      const std::string shortest = fmt::format("{}", each.get());
      out << shortest << (shortest.find_first_not_of("-0123456789") == std::string::npos ? ".0" : "");
    } else if constexpr (std::is_same_v<std::remove_cvref_t<decltype(each)>, toml::table>) {
      toml::table inline_table = each;
      inline_table.is_inline(true);
      out << toml::toml_formatter(inline_table, toml::format_flags::none);
    } else {
      out << toml::toml_formatter(each, toml::format_flags::none);
    }
  });
  std::string text = out.str();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

toml::node& node_of(toml::table& root, const Setting& setting, const std::string& file) {
  if (!setting.at.empty()) {
    toml::node* node = &root;
    for (const std::string& key : setting.at)
      node = node->is_array() ? node->as_array()->get(std::stoul(key)) : node->as_table()->get(key);
    return *node;
  }
  size_t line = 1, column = 5;
  if (setting.place.rfind(file + ":", 0) == 0) std::sscanf(setting.place.c_str() + file.size(), ":%zu:%zu", &line, &column);
  // Written where it is said to be: a fault in the value then has that place.
  const std::string before = std::string(line - 1, '\n') + std::string(column > 5 ? column - 5 : 0, ' ');
  toml::table parsed = toml::parse(before + "v = " + setting.text, file);
  root.insert_or_assign("v", std::move(*parsed.get("v")));
  return *root.get("v");
}

std::vector<AxisReader::Axis> AxisReader::axes_of(const toml::table& table, const char* what) {
  const std::string name(what + 1, std::strlen(what) - 2);  // of "[grid]"
  std::vector<Axis> axes;
  for (const Found& found : walk(table, "", {name}, is_inline)) {
    const toml::array* values = found.node->as_array();
    Axis axis{found.path, {}, io::place_of(*found.node, file_)};
    if (values == nullptr) {
      errors_.add(fmt::format("{}: '{}' in {} must be an array of its values", axis.place, printable(axis.path), what));
      continue;
    }
    if (values->empty()) {
      errors_.add(fmt::format("{}: the axis '{}' of {} is empty", axis.place, printable(axis.path), what));
      continue;
    }
    for (size_t i = 0; i < values->size(); ++i) {
      const toml::node& value = *values->get(i);
      axis.values.push_back(
          {axis.path, copy_of(value), value_text(value), io::place_of(value, file_), with(found.at, std::to_string(i))});
    }
    axes.push_back(std::move(axis));
  }
  if (table.empty()) errors_.add(io::place_of(table, file_) + ": " + what + " is empty");
  return axes;
}

std::vector<std::vector<Point>> AxisReader::grid(const toml::table& table) {
  std::vector<std::vector<Point>> factors;
  for (const Axis& axis : axes_of(table, "[grid]")) {
    std::vector<Point>& points = factors.emplace_back();
    for (const Setting& value : axis.values) points.push_back({"", {value}});
  }
  return factors;
}

std::vector<Point> AxisReader::zip(const toml::table& table) {
  const std::vector<Axis> axes = axes_of(table, "[zip]");
  std::vector<Point> points;
  for (const Axis& axis : axes) {
    if (axis.values.size() != axes[0].values.size()) {
      errors_.add(fmt::format("{}: the axes of [zip] go together and must be of one length: '{}' has {} values, '{}' has {}",
                              axis.place, printable(axis.path), axis.values.size(), printable(axes[0].path),
                              axes[0].values.size()));
      continue;
    }
    points.resize(axis.values.size());
    for (size_t i = 0; i < points.size(); ++i) points[i].settings.push_back(axis.values[i]);
  }
  return points;
}

std::vector<Setting> AxisReader::settings_of(const toml::table& row, const Keys& at, const std::vector<std::string>& host_keys) {
  std::vector<Setting> settings;
  for (const Found& found : walk(row, "", at, is_inline))
    if (std::find(host_keys.begin(), host_keys.end(), found.path) == host_keys.end())
      settings.push_back({found.path, copy_of(*found.node), value_text(*found.node), io::place_of(*found.node, file_), found.at});
  return settings;
}

std::vector<Point> AxisReader::list(const std::vector<const toml::table*>& rows) {
  std::vector<Point> points;
  for (size_t i = 0; i < rows.size(); ++i) {
    Point point;
    if (const toml::node* name = rows[i]->get("name")) {
      if (!name->is_string())
        errors_.add(io::place_of(*name, file_) + ": the 'name' of a [[list]] row must be a string");
      else
        point.name = name->as_string()->get();
      if (std::any_of(point.name.begin(), point.name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        errors_.add(io::place_of(*name, file_) + ": the 'name' of a [[list]] row may hold no control characters");
    }
    for (const Point& other : points)
      if (!point.name.empty() && other.name == point.name)
        errors_.add(io::place_of(*rows[i]->get("name"), file_) + ": two rows of [[list]] are called '" + printable(point.name) +
                    "'");
    point.settings = settings_of(*rows[i], {"list", std::to_string(i)}, {"name"});
    points.push_back(std::move(point));
  }
  return points;
}

std::optional<Distribution> AxisReader::distribution(const std::string& path, const toml::table& table, const Keys& at,
                                                     int64_t& samples, bool searched) {
  const size_t faults = errors_.messages().size();
  io::TomlReader reader(table, file_, "the axis '" + printable(path) + "'", errors_);
  Distribution d{.path = path, .kind = "", .choices = {}, .place = io::place_of(table, file_), .at = at};
  for (const std::string& kind : kinds()) {
    const toml::array* range = reader.array(kind);
    if (range == nullptr) continue;
    if (!d.kind.empty()) reader.fault(kind, "an axis has one distribution, not '" + d.kind + "' and '" + kind + "'");
    d.kind = kind;
    if (kind == "choice") {
      for (const toml::node& value : *range) d.choices.push_back(copy_of(value));
      if (range->empty()) reader.fault(kind, "'choice' is empty");
      continue;
    }
    const auto bound = [&](size_t i) { return range->size() == 2 ? range->get(i)->value<double>() : std::nullopt; };
    const bool whole = kind != "integer" || (range->size() == 2 && range->get(0)->is_integer() && range->get(1)->is_integer());
    if (!bound(0) || !bound(1) || !(*bound(0) < *bound(1)) || !whole || (kind == "log_uniform" && *bound(0) <= 0))
      reader.fault(kind, fmt::format("'{}' must be [low, high]: two {}, low below high{}", kind,
                                     kind == "integer" ? "integers" : "numbers", kind == "log_uniform" ? " and above 0" : ""));
    else
      d.low = *bound(0), d.high = *bound(1);
  }
  if (!searched) {
    reader.require("samples");
    if (const auto given = reader.integer("samples")) {
      samples = *given;
      if (samples < 1 || samples > static_cast<int64_t>(kMostTrials))
        reader.fault("samples", fmt::format("'samples' must be from 1 to {}", kMostTrials));
    }
  }
  if (d.kind.empty() && errors_.messages().size() == faults)
    errors_.add(d.place + ": the axis '" + printable(path) + "' has no distribution: give one of " + join(kinds(), ", "));
  reader.finish();
  return errors_.messages().size() == faults ? std::optional(std::move(d)) : std::nullopt;
}

std::vector<Point> AxisReader::random(const toml::table& table, bool searched, uint64_t& seed, std::vector<Distribution>& space) {
  std::optional<int64_t> samples;
  std::string first;
  for (const Found& found : walk(table, "", {"random"}, is_distribution)) {
    const std::string& path = found.path;
    const toml::node& node = *found.node;
    const std::string place = io::place_of(node, file_);
    if (path == "seed") {
      if (node.is_integer() && *node.value<int64_t>() >= 0)
        seed = static_cast<uint64_t>(*node.value<int64_t>());
      else
        errors_.add(place + ": 'seed' of [random] must be an integer of at least 0");
      continue;
    }
    if (!node.is_table()) {
      errors_.add(place + ": the axis '" + printable(path) +
                  "' of [random] must be a table, as in { log_uniform = [1e-5, 1e-3], samples = 8 }");
      continue;
    }
    int64_t here = 0;
    const auto read = distribution(path, *node.as_table(), found.at, here, searched);
    if (!read) continue;
    if (samples && *samples != here)
      errors_.add(fmt::format("{}: the axes of [random] are drawn together: '{}' has {} samples, '{}' has {}", place,
                              printable(path), here, printable(first), *samples));
    if (!samples) samples = here, first = path;
    space.push_back(*read);
  }
  std::vector<Point> points;
  if (space.empty() && errors_.empty()) errors_.add(io::place_of(table, file_) + ": [random] has no axis");
  if (searched || space.empty() || !errors_.empty()) return points;
  points.resize(static_cast<size_t>(*samples));
  for (const Distribution& d : space) {
    const std::vector<Setting> values = draws(d, seed, *samples);
    for (size_t i = 0; i < points.size(); ++i) points[i].settings.push_back(values[i]);
  }
  // What is drawn twice is one trial.
  std::set<std::string> drawn;
  std::erase_if(points, [&](const Point& point) {
    std::string key;
    for (const Setting& setting : point.settings) key += setting.text + "\n";
    return !drawn.insert(key).second;
  });
  return points;
}

std::vector<Setting> draws(const Distribution& d, uint64_t seed, int64_t count) {
  std::vector<Setting> values;
  for (int64_t k = 0; k < count; ++k) {
    const double u = rng::uniform(seed, rng::stream_of(d.path), static_cast<uint64_t>(k));
    if (d.kind == "choice") {
      const auto i = static_cast<size_t>(u * static_cast<double>(d.choices.size()));
      values.push_back({d.path, d.choices[i], value_text(*d.choices[i]), d.place, with(with(d.at, "choice"), std::to_string(i))});
      continue;
    }
    std::string text;
    if (d.kind == "integer")
      text = std::to_string(static_cast<int64_t>(d.low) + static_cast<int64_t>(u * (d.high - d.low + 1)));
    else if (d.kind == "uniform")
      text = fmt::format("{:.6e}", d.low + u * (d.high - d.low));
    else
      text = fmt::format("{:.6e}", std::exp(std::log(d.low) + u * (std::log(d.high) - std::log(d.low))));
    const toml::table parsed = toml::parse("v = " + text);
    values.push_back({d.path, copy_of(*parsed.get("v")), value_text(*parsed.get("v")), d.place});
  }
  return values;
}

std::vector<Point> product(const std::vector<std::vector<Point>>& factors, const std::string& file, ErrorList& errors) {
  std::map<std::string, size_t> owner;
  for (size_t f = 0; f < factors.size(); ++f)
    for (const Point& point : factors[f])
      for (const Setting& setting : point.settings)
        if (const auto [at, fresh] = owner.emplace(setting.path, f); !fresh && at->second != f) {
          errors.add(setting.place + ": '" + printable(setting.path) + "' is set by two axes");
          at->second = f;
        }
  std::vector<Point> points;
  if (!factors.empty()) points.emplace_back();
  for (const std::vector<Point>& factor : factors) {
    if (points.size() * factor.size() > kMostTrials) {
      errors.add(fmt::format("{}: more than {} trials", file, with_commas(kMostTrials)));
      return {};
    }
    std::vector<Point> next;
    for (const Point& point : points)
      for (const Point& more : factor) {
        Point& made = next.emplace_back(point);
        if (!more.name.empty()) made.name = more.name;
        made.settings.insert(made.settings.end(), more.settings.begin(), more.settings.end());
      }
    points = std::move(next);
  }
  return points;
}

bool matches(const Point& point, const std::vector<Setting>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const Setting& want) {
    return std::any_of(point.settings.begin(), point.settings.end(), [&](const Setting& have) {
      if (have.path != want.path) return false;
      if (have.text == want.text) return true;
      const toml::array* any = want.value->as_array();
      return any != nullptr &&
             std::any_of(any->begin(), any->end(), [&](const toml::node& each) { return value_text(each) == have.text; });
    });
  });
}

}  // namespace espalier::sweep
