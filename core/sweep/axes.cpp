#include "core/sweep/axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
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

/// Calls `visit` for each path and value, in the order of the file.
void walk(const toml::table& table, const std::string& prefix, const std::function<bool(const toml::table&)>& is_value,
          const std::function<void(const std::string&, const toml::node&)>& visit) {
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (const auto& [key, node] : table) {
    const std::string part(key.str());
    entries.emplace_back(prefix.empty() ? part : prefix + "." + part_text(part), &node);
  }
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const toml::source_position x = a.second->source().begin, y = b.second->source().begin;
    return std::pair(x.line, x.column) < std::pair(y.line, y.column);
  });
  for (const auto& [path, node] : entries) {
    const toml::table* inner = node->as_table();
    if (inner != nullptr && !is_value(*inner))
      walk(*inner, path, is_value, visit);
    else
      visit(path, *node);
  }
}

bool is_distribution(const toml::table& table) {
  return table.is_inline() ||
         std::any_of(kinds().begin(), kinds().end(), [&](const std::string& kind) { return table.contains(kind); });
}

}  // namespace

std::string value_text(const toml::node& value) {
  std::ostringstream out;
  value.visit([&](const auto& each) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(each)>, toml::table>) {
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

std::shared_ptr<const toml::node> value_at(const std::string& text, const std::string& place, const std::string& file) {
  size_t line = 1, column = 5;
  if (place.rfind(file + ":", 0) == 0) std::sscanf(place.c_str() + file.size(), ":%zu:%zu", &line, &column);
  // Put where it is said to be: a fault in the value then has that place.
  std::string padded(line - 1, '\n');
  padded += std::string(column > 4 ? column - 4 : 1, ' ');
  padded.pop_back();
  return copy_of(*toml::parse(padded + "v = " + text, file).get("v"));
}

std::vector<AxisReader::Axis> AxisReader::axes_of(const toml::table& table, const char* what) {
  std::vector<Axis> axes;
  walk(
      table, "", [](const toml::table& inner) { return inner.is_inline(); },
      [&](const std::string& path, const toml::node& node) {
        const toml::array* values = node.as_array();
        const std::string place = io::place_of(node, file_);
        if (values == nullptr)
          return errors_.add(fmt::format("{}: '{}' in {} must be an array of its values", place, printable(path), what));
        if (values->empty()) return errors_.add(fmt::format("{}: the axis '{}' of {} is empty", place, printable(path), what));
        Axis axis{path, {}, place};
        for (const toml::node& value : *values) axis.values.push_back(copy_of(value));
        for (size_t i = 0; i < axis.values.size(); ++i)
          for (size_t k = 0; k < i; ++k)
            if (what == std::string("[grid]") && value_text(*axis.values[i]) == value_text(*axis.values[k]))
              errors_.add(fmt::format("{}: the axis '{}' has {} twice", io::place_of(*axis.values[i], file_), printable(path),
                                      printable(value_text(*axis.values[i]))));
        axes.push_back(std::move(axis));
      });
  if (table.empty()) errors_.add(io::place_of(table, file_) + ": " + what + " is empty");
  return axes;
}

std::vector<std::vector<Point>> AxisReader::grid(const toml::table& table) {
  std::vector<std::vector<Point>> factors;
  for (const Axis& axis : axes_of(table, "[grid]")) {
    std::vector<Point>& points = factors.emplace_back();
    for (const auto& value : axis.values) points.push_back({"", {{axis.path, value, value_text(*value)}}});
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
    for (size_t i = 0; i < points.size(); ++i)
      points[i].settings.push_back({axis.path, axis.values[i], value_text(*axis.values[i])});
  }
  return points;
}

std::vector<Setting> AxisReader::settings_of(const toml::table& row, const std::vector<std::string>& host_keys) {
  std::vector<Setting> settings;
  walk(
      row, "", [](const toml::table& inner) { return inner.is_inline(); },
      [&](const std::string& path, const toml::node& node) {
        if (std::find(host_keys.begin(), host_keys.end(), path) == host_keys.end())
          settings.push_back({path, copy_of(node), value_text(node)});
      });
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
    }
    for (const Point& other : points)
      if (!point.name.empty() && other.name == point.name)
        errors_.add(io::place_of(*rows[i]->get("name"), file_) + ": two rows of [[list]] are called '" + printable(point.name) +
                    "'");
    point.settings = settings_of(*rows[i], {"name"});
    points.push_back(std::move(point));
  }
  return points;
}

std::optional<Distribution> AxisReader::distribution(const std::string& path, const toml::table& table, int64_t& samples,
                                                     bool searched) {
  const size_t faults = errors_.messages().size();
  io::TomlReader reader(table, file_, "the axis '" + printable(path) + "'", errors_);
  Distribution d{.path = path, .kind = "", .choices = {}, .place = io::place_of(table, file_)};
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
  walk(table, "", is_distribution, [&](const std::string& path, const toml::node& node) {
    if (path == "seed") {
      if (node.is_integer() && *node.value<int64_t>() >= 0)
        seed = static_cast<uint64_t>(*node.value<int64_t>());
      else
        errors_.add(io::place_of(node, file_) + ": 'seed' of [random] must be an integer of at least 0");
      return;
    }
    if (!node.is_table())
      return errors_.add(io::place_of(node, file_) + ": the axis '" + printable(path) +
                         "' of [random] must be a table, as in { log_uniform = [1e-5, 1e-3], samples = 8 }");
    int64_t here = 0;
    const auto read = distribution(path, *node.as_table(), here, searched);
    if (!read) return;
    if (samples && *samples != here)
      errors_.add(fmt::format("{}: the axes of [random] are drawn together: '{}' has {} samples, '{}' has {}", read->place,
                              printable(path), here, printable(first), *samples));
    if (!samples) samples = here, first = path;
    space.push_back(*read);
  });
  std::vector<Point> points;
  if (space.empty() && errors_.empty()) errors_.add(io::place_of(table, file_) + ": [random] has no axis");
  if (searched || space.empty() || !errors_.empty()) return points;
  points.resize(static_cast<size_t>(*samples));
  for (const Distribution& d : space) {
    const auto values = draws(d, seed, 0, *samples);
    for (size_t i = 0; i < points.size(); ++i) points[i].settings.push_back({d.path, values[i], value_text(*values[i])});
  }
  return points;
}

std::vector<std::shared_ptr<const toml::node>> draws(const Distribution& d, uint64_t seed, int64_t begin, int64_t end) {
  const std::string file = d.place.substr(0, d.place.rfind(':', d.place.rfind(':') - 1));
  std::vector<std::shared_ptr<const toml::node>> values;
  for (int64_t k = begin; k < end; ++k) {
    const double u = rng::uniform(seed, rng::stream_of(d.path), static_cast<uint64_t>(k));
    if (d.kind == "choice") {
      values.push_back(d.choices[static_cast<size_t>(u * static_cast<double>(d.choices.size()))]);
      continue;
    }
    std::string text;
    if (d.kind == "integer")
      text = std::to_string(static_cast<int64_t>(d.low) + static_cast<int64_t>(u * (d.high - d.low + 1)));
    else if (d.kind == "uniform")
      text = fmt::format("{:.6e}", d.low + u * (d.high - d.low));
    else
      text = fmt::format("{:.6e}", std::exp(std::log(d.low) + u * (std::log(d.high) - std::log(d.low))));
    values.push_back(value_at(text, d.place, file));
  }
  return values;
}

std::vector<Point> product(const std::vector<std::vector<Point>>& factors, const std::string& file, ErrorList& errors) {
  std::map<std::string, size_t> owner;
  for (size_t f = 0; f < factors.size(); ++f)
    for (const Point& point : factors[f])
      for (const Setting& setting : point.settings)
        if (const auto [at, fresh] = owner.emplace(setting.path, f); !fresh && at->second != f) {
          errors.add(io::place_of(*setting.value, file) + ": '" + printable(setting.path) + "' is set by two axes");
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
