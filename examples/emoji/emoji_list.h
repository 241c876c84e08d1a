#pragma once
// Unicode's list of emoji with their names and groups.

#include <filesystem>
#include <string>
#include <vector>

namespace espalier::emoji {

struct Emoji {
  std::vector<char32_t> code_points;
  std::string id;        // "1F1E6-1F1E8"
  std::string caption;   // Unicode's name: "grinning face with smiling eyes"
  std::string group;     // "Smileys & Emotion"
  std::string subgroup;  // "face-smiling"
};

/// The fully-qualified emoji of an `emoji-test.txt` (UTS #51), in its order, without those that carry a skin tone.
/// Errors: UserError with the line for what is not of that file's format; when there is none.
std::vector<Emoji> read_emoji_list(const std::filesystem::path& file);

/// The emoji of `groups`, in the list's order. Errors: UserError for groups that the list lacks, with the nearest.
std::vector<Emoji> select_groups(const std::vector<Emoji>& list, const std::vector<std::string>& groups);

}  // namespace espalier::emoji
