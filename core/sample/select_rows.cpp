#include "core/sample/select_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/text.h"

namespace espalier::sample {
namespace {

std::optional<size_t> whole_number(std::string_view text) {
  size_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  return fault == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<std::pair<size_t, size_t>> range_of(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = whole_number(text.substr(0, dash)), last = whole_number(text.substr(dash + 1));
  return first && last ? std::optional(std::pair(*first, *last)) : std::nullopt;
}

class Selection {
 public:
  Selection(std::span<const data::CacheRow> rows, ErrorList& errors) : rows_(rows), errors_(errors) {
    for (size_t i = 0; i < rows.size(); ++i) {
      by_id_.emplace(rows[i].id, i);
      by_caption_[rows[i].caption].push_back(i);
    }
  }

  void add(const std::string& selector) {
    if (add_one(selector)) return;
    if (selector.find(',') == std::string::npos) return unknown(selector);
    for (std::string part : split(selector, ',')) {
      part.erase(0, part.find_first_not_of(' '));
      part.erase(part.find_last_not_of(' ') + 1);
      if (!add_one(part)) unknown(part);
    }
  }

  std::vector<size_t> take() { return std::move(chosen_); }

 private:
  /// Whether `text` as a whole is a selector, right or wrong.
  bool add_one(std::string_view text) {
    if (text.starts_with("id:")) return add_id(text.substr(3));
    if (text.starts_with("index:")) return add_index(text.substr(6), text);
    const auto id = by_id_.find(text);
    const auto number = whole_number(text);
    if (id != by_id_.end()) {
      if (number && *number < rows_.size() && *number != id->second)
        errors_.add(fmt::format("[--rows] '{0}' is the id of row {1} and the index of row {0} ('{2}'); say id:{0} or index:{0}",
                                text, id->second, printable(rows_[*number].caption)));
      else
        chosen_.push_back(id->second);
      return true;
    }
    return add_caption(text) || add_index(text, text) || add_range(text) || add_glob(text);
  }

  bool add_id(std::string_view id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return false;
    chosen_.push_back(found->second);
    return true;
  }

  bool add_caption(std::string_view text) {
    const auto found = by_caption_.find(text);
    if (found == by_caption_.end()) return false;
    const std::vector<size_t>& same = found->second;
    chosen_.push_back(same.front());
    if (same.size() == 1) return true;
    std::vector<std::string> ids;
    for (size_t i = 0; i < same.size() && i < 5; ++i) ids.push_back(printable(rows_[same[i]].id));
    errors_.add(fmt::format("[--rows] {} rows have the caption '{}'; name one by its id: {}{}", same.size(), printable(text),
                            join(ids, ", "), same.size() > 5 ? ", …" : ""));
    return true;
  }

  bool add_index(std::string_view text, std::string_view selector) {
    const auto number = whole_number(text);
    if (!number) return false;
    if (*number < rows_.size())
      chosen_.push_back(*number);
    else
      errors_.add(
          fmt::format("[--rows] there is no row '{}': the cache's rows are 0 to {}", printable(selector), rows_.size() - 1));
    return true;
  }

  bool add_range(std::string_view text) {
    const auto range = range_of(text);
    if (!range) return false;
    const auto [first, last] = *range;
    if (first > last || last >= rows_.size())
      errors_.add(fmt::format("[--rows] '{}' is no range of the cache's rows, which are 0 to {}", text, rows_.size() - 1));
    else
      for (size_t i = first; i <= last; ++i) chosen_.push_back(i);
    return true;
  }

  bool add_glob(std::string_view text) {
    if (text.find_first_of("*?") == std::string_view::npos) return false;
    const size_t before = chosen_.size();
    for (size_t i = 0; i < rows_.size(); ++i)
      if (glob_match(text, rows_[i].caption) || glob_match(text, rows_[i].id)) chosen_.push_back(i);
    return chosen_.size() > before;
  }

  void unknown(std::string_view text) {
    std::vector<std::string> names;
    for (const data::CacheRow& row : rows_) {
      names.push_back(row.caption);
      names.push_back(row.id);
    }
    const bool glob = text.find_first_of("*?") != std::string_view::npos;
    errors_.add(fmt::format("[--rows] no row's caption or id {} '{}'{}", glob ? "matches" : "is", printable(text),
                            did_you_mean(text, names)));
  }

  std::span<const data::CacheRow> rows_;
  ErrorList& errors_;
  std::unordered_map<std::string_view, size_t> by_id_;
  std::unordered_map<std::string_view, std::vector<size_t>> by_caption_;
  std::vector<size_t> chosen_;
};

}  // namespace

std::vector<size_t> select_rows(std::span<const data::CacheRow> rows, const std::vector<std::string>& selectors) {
  ErrorList errors;
  Selection selection(rows, errors);
  for (const std::string& selector : selectors) selection.add(selector);
  errors.throw_if_any();
  return selection.take();
}

}  // namespace espalier::sample
