#include "tests/support/filecheck.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <regex>
#include <vector>

#include "core/base/text.h"

namespace espalier::testing {
namespace {

enum class Kind { kCheck, kNext, kSame, kNot, kDag, kLabel };

struct Directive {
  Kind kind;
  std::string pattern;
  size_t line;  // in the file of the checks
};

struct Failure {
  std::string text;
};

/// A place in the output: before column `column` of line `line`.
struct Position {
  size_t line = 0, column = 0;
  bool operator<(const Position& other) const { return line != other.line ? line < other.line : column < other.column; }
  bool operator<=(const Position& other) const { return !(other < *this); }
};

struct Match {
  Position begin, end;
  std::map<std::string, std::string> captured;
};

std::string squeezed(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\t' || c == '\r') c = ' ';
    if (c != ' ' || out.empty() || out.back() != ' ') out += c;
  }
  const size_t begin = std::min(out.find_first_not_of(' '), out.size());
  return out.substr(begin, out.find_last_not_of(' ') + 1 - begin);
}

std::vector<Directive> directives_of(std::string_view text, size_t first_line) {
  static constexpr std::array<std::pair<std::string_view, Kind>, 6> kKinds{{{"CHECK", Kind::kCheck},
                                                                            {"CHECK-NEXT", Kind::kNext},
                                                                            {"CHECK-SAME", Kind::kSame},
                                                                            {"CHECK-NOT", Kind::kNot},
                                                                            {"CHECK-DAG", Kind::kDag},
                                                                            {"CHECK-LABEL", Kind::kLabel}}};
  static const std::regex kDirective(R"(//\s*(CHECK[-A-Za-z_]*):(.*)$)");
  std::vector<Directive> found;
  for (const std::string& line : split(text, '\n')) {
    std::smatch match;
    if (std::regex_search(line, match, kDirective)) {
      const auto* known =
          std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& kind) { return kind.first == match[1].str(); });
      if (known == kKinds.end()) throw Failure{"line " + std::to_string(first_line) + ": unknown directive " + match[1].str()};
      found.push_back({known->second, squeezed(match[2].str()), first_line});
      if (found.back().pattern.empty()) throw Failure{"line " + std::to_string(first_line) + ": the pattern is empty"};
    }
    ++first_line;
  }
  return found;
}

/// A pattern as one regular expression, and which of its groups captures what.
struct Compiled {
  std::regex regex;
  std::vector<std::pair<std::string, size_t>> groups;
};

class Checker {
 public:
  Checker(std::vector<Directive> directives, std::string_view output) : directives_(std::move(directives)) {
    for (const std::string& line : split(output, '\n')) lines_.push_back(squeezed(line));
  }

  void run() {
    // Labels first: each block of directives then sees its own part of the output only.
    std::vector<size_t> starts{0};
    std::vector<std::optional<Match>> labels{std::nullopt};
    Position at;
    for (size_t i = 0; i < directives_.size(); ++i) {
      if (directives_[i].kind != Kind::kLabel) continue;
      const Match match = need(directives_[i], at, {lines_.size(), 0});
      at = match.end;
      starts.push_back(i + 1);
      labels.emplace_back(match);
    }
    for (size_t block = 0; block < starts.size(); ++block) {
      const size_t last = block + 1 < starts.size() ? starts[block + 1] - 1 : directives_.size();
      const Position end = block + 1 < starts.size() ? labels[block + 1]->begin : Position{lines_.size(), 0};
      check_block(starts[block], last, labels[block], end);
    }
  }

 private:
  Compiled compile(const Directive& directive) const {
    const std::string& text = directive.pattern;
    Compiled out;
    std::string regex;
    size_t group = 0;
    const auto groups_in = [](const std::string& part) {
      size_t count = 0;
      for (size_t i = 0; i < part.size(); ++i) {
        if (part[i] == '\\')
          ++i;
        else if (part[i] == '(' && part.substr(i + 1, 1) != "?")
          ++count;
      }
      return count;
    };
    for (size_t i = 0; i < text.size();) {
      const bool is_regex = text.compare(i, 2, "{{") == 0, is_variable = text.compare(i, 2, "[[") == 0;
      if (!is_regex && !is_variable) {
        regex += escaped(text.substr(i++, 1));
        continue;
      }
      size_t close = text.find(is_regex ? "}}" : "]]", i);
      if (close == std::string::npos) throw Failure{at(directive) + "'" + text.substr(i, 2) + "' is not closed"};
      while (is_variable && text.compare(close, 3, "]]]") == 0) ++close;  // a regex may end in ']'
      const std::string inside = text.substr(i + 2, close - i - 2);
      i = close + 2;
      const size_t colon = inside.find(':');
      if (is_regex) {
        regex += "(?:" + inside + ")";
        group += groups_in(inside);
      } else if (colon != std::string::npos) {
        regex += "(" + inside.substr(colon + 1) + ")";
        out.groups.emplace_back(inside.substr(0, colon), ++group);
        group += groups_in(inside.substr(colon + 1));
      } else if (auto here = std::find_if(out.groups.begin(), out.groups.end(), [&](const auto& g) { return g.first == inside; });
                 here != out.groups.end()) {
        regex += "(?:\\" + std::to_string(here->second) + ")";
      } else if (auto known = captured_.find(inside); known != captured_.end()) {
        regex += escaped(known->second);
      } else {
        throw Failure{at(directive) + "[[" + inside + "]] is used before it is captured"};
      }
    }
    try {
      out.regex = std::regex(regex);
    } catch (const std::regex_error& error) {
      throw Failure{at(directive) + "not a regular expression: " + regex + " (" + error.what() + ")"};
    }
    return out;
  }

  static std::string escaped(const std::string& text) {
    std::string out;
    for (char c : text) {
      if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
    return out;
  }

  /// The first match that begins in [from, to) and overlaps none of `taken`.
  std::optional<Match> find(const Directive& directive, Position from, Position to, const std::vector<Match>& taken = {}) const {
    const Compiled compiled = compile(directive);
    for (size_t line = from.line; line < lines_.size() && line <= to.line; ++line) {
      const std::string& text = lines_[line];
      for (size_t column = line == from.line ? from.column : 0; column <= text.size();) {
        std::smatch match;
        const auto begin = text.begin() + static_cast<std::ptrdiff_t>(column);
        const auto flags = column > 0 ? std::regex_constants::match_prev_avail : std::regex_constants::match_default;
        if (!std::regex_search(begin, text.end(), match, compiled.regex, flags)) break;
        const size_t start = column + static_cast<size_t>(match.position(0));
        Match found{{line, start}, {line, start + static_cast<size_t>(match.length(0))}, {}};
        if (to <= found.begin) return std::nullopt;
        const bool overlaps = std::any_of(taken.begin(), taken.end(),
                                          [&](const Match& other) { return found.begin < other.end && other.begin < found.end; });
        column = start + 1;
        if (overlaps) continue;
        for (const auto& [name, group] : compiled.groups) found.captured[name] = match[group].str();
        return found;
      }
    }
    return std::nullopt;
  }

  Match need(const Directive& directive, Position from, Position to, const std::vector<Match>& taken = {}) {
    const std::optional<Match> match = find(directive, from, to, taken);
    if (!match) throw Failure{at(directive) + "no match for '" + directive.pattern + "'" + context(from)};
    for (const auto& [name, value] : match->captured) captured_[name] = value;
    return *match;
  }

  void refuse(std::vector<Directive>& nots, Position from, Position to) const {
    for (const Directive& directive : nots)
      if (const std::optional<Match> match = find(directive, from, to))
        throw Failure{at(directive) + "'" + directive.pattern + "' must not match, but does: " + lines_[match->begin.line]};
    nots.clear();
  }

  void check_block(size_t first, size_t last, const std::optional<Match>& label, Position end) {
    Position position = label ? label->end : Position{};
    bool has_match = label.has_value();
    std::vector<Directive> nots;
    for (size_t i = first; i < last; ++i) {
      const Directive& directive = directives_[i];
      if (directive.kind == Kind::kNot) {
        nots.push_back(directive);
        continue;
      }
      Position from = position, to = end;
      if (directive.kind == Kind::kNext || directive.kind == Kind::kSame) {
        if (!has_match) throw Failure{at(directive) + "there is no match before it"};
        if (directive.kind == Kind::kNext) from = {position.line + 1, 0};
        to = std::min(end, Position{from.line + 1, 0});
      }
      std::vector<Match> matches;
      if (directive.kind == Kind::kDag) {
        for (; i < last && directives_[i].kind == Kind::kDag; ++i) matches.push_back(need(directives_[i], from, to, matches));
        --i;
      } else {
        matches.push_back(need(directive, from, to));
      }
      const auto earlier = [](const Match& a, const Match& b) { return a.begin < b.begin; };
      refuse(nots, position, std::min_element(matches.begin(), matches.end(), earlier)->begin);
      for (const Match& match : matches) position = std::max(position, match.end);
      has_match = true;
    }
    refuse(nots, position, end);
  }

  std::string at(const Directive& directive) const { return "line " + std::to_string(directive.line) + ": "; }
  std::string context(Position from) const {
    std::string out = "; searched from here:";
    for (size_t i = from.line; i < std::min(from.line + 12, lines_.size()); ++i) out += "\n  | " + lines_[i];
    return out;
  }

  std::vector<Directive> directives_;
  std::vector<std::string> lines_;
  std::map<std::string, std::string> captured_;
};

}  // namespace

bool has_directives(std::string_view text) {
  return text.find("CHECK") != std::string_view::npos && !directives_of(text, 1).empty();
}

std::string filecheck(std::string_view checks, std::string_view output, size_t first_line) {
  try {
    std::vector<Directive> directives = directives_of(checks, first_line);
    if (directives.empty()) return "no directive to check";
    Checker(std::move(directives), output).run();
    return "";
  } catch (const Failure& failure) {
    return failure.text;
  }
}

}  // namespace espalier::testing
