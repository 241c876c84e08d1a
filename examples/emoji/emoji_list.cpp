#include "examples/emoji/emoji_list.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"

// A line of the list:   1F441 FE0F 200D 1F5E8 FE0F ; fully-qualified # 👁️‍🗨️ E2.0 eye in speech bubble

namespace espalier::emoji {
namespace {

constexpr char32_t kFirstSkinTone = 0x1F3FB, kLastSkinTone = 0x1F3FF, kLastCodePoint = 0x10FFFF;
constexpr std::string_view kGroup = "# group: ", kSubgroup = "# subgroup: ";

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<char32_t> code_points(std::string_view text, const std::string& place) {
  std::vector<char32_t> points;
  for (const std::string& word : split(trim(text), ' ')) {
    uint32_t point = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), point, 16);
    if (fault != std::errc() || end != word.data() + word.size() || point > kLastCodePoint)
      throw UserError(place + "'" + printable(word) + "' is no code point");
    points.push_back(point);
  }
  return points;
}

// What follows the picture and the version: "E2.0 eye in speech bubble".
std::string_view name_in(std::string_view comment, const std::string& place) {
  const size_t version = comment.find(" E");
  const size_t name = version == std::string_view::npos ? version : comment.find(' ', version + 1);
  if (name == std::string_view::npos) throw UserError(place + "has no name after '#'; it should read '# picture E1.0 name'");
  return trim(comment.substr(name));
}

}  // namespace

std::vector<Emoji> read_emoji_list(const std::filesystem::path& file) {
  std::vector<Emoji> list;
  std::string group, subgroup;
  int number = 0;
  for (const std::string& line : split(read_text(file), '\n')) {
    ++number;
    const std::string place = file.string() + ":" + std::to_string(number) + ": ";
    if (line.rfind(kGroup, 0) == 0) group = trim(line.substr(kGroup.size()));
    if (line.rfind(kSubgroup, 0) == 0) subgroup = trim(line.substr(kSubgroup.size()));
    if (trim(line).empty() || line[0] == '#') continue;
    const size_t semicolon = line.find(';'), hash = line.find('#');
    if (semicolon == std::string::npos || hash == std::string::npos || hash < semicolon)
      throw UserError(place + "is no line 'code points ; status # name'; give Unicode's emoji-test.txt");
    if (trim(line.substr(semicolon + 1, hash - semicolon - 1)) != "fully-qualified") continue;
    Emoji emoji{
        code_points(line.substr(0, semicolon), place), {}, std::string(name_in(line.substr(hash), place)), group, subgroup};
    const auto is_tone = [](char32_t point) { return point >= kFirstSkinTone && point <= kLastSkinTone; };
    if (std::any_of(emoji.code_points.begin(), emoji.code_points.end(), is_tone)) continue;
    for (const std::string& word : split(trim(line.substr(0, semicolon)), ' ')) emoji.id += (emoji.id.empty() ? "" : "-") + word;
    list.push_back(std::move(emoji));
  }
  if (list.empty()) throw UserError(file.string() + ": lists no fully-qualified emoji; give Unicode's emoji-test.txt");
  return list;
}

std::vector<Emoji> select_groups(const std::vector<Emoji>& list, const std::vector<std::string>& groups) {
  std::vector<std::string> known;
  for (const Emoji& emoji : list)
    if (std::find(known.begin(), known.end(), emoji.group) == known.end()) known.push_back(emoji.group);
  ErrorList errors;
  for (const std::string& group : groups)
    if (std::find(known.begin(), known.end(), group) == known.end())
      errors.add("--groups: there is no group '" + printable(group) + "'" + did_you_mean(group, known) + "; there are " +
                 join(known, ", "));
  errors.throw_if_any();
  std::vector<Emoji> selected;
  for (const Emoji& emoji : list)
    if (std::find(groups.begin(), groups.end(), emoji.group) != groups.end()) selected.push_back(emoji);
  return selected;
}

}  // namespace espalier::emoji
