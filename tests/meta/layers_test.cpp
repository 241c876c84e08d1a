// The house rules that a tool can check: who includes whom, file sizes, words that must not stay.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = ESPALIER_SOURCE_DIR;

struct Rule {
  std::set<std::string> rooms, libraries;
};

std::map<std::string, Rule> read_layers() {
  std::map<std::string, Rule> rules;
  std::ifstream file(kRoot / "docs/layers.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string room, word;
    words >> room;
    room.pop_back();
    Rule& rule = rules[room];
    while (words >> word) (word.rfind("lib:", 0) == 0 ? rule.libraries.insert(word.substr(4)) : rule.rooms.insert(word));
  }
  return rules;
}

std::vector<fs::path> sources() {
  std::vector<fs::path> found;
  for (const char* top : {"core", "plugins", "strategies", "backends", "sdk"})
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      const std::string extension = entry.path().extension();
      if (extension == ".cpp" || extension == ".h" || extension == ".hpp" || extension == ".c") found.push_back(entry.path());
    }
  return found;
}

// The room of a path relative to the root: the longest layer name that is a prefix of it.
std::string room_of(const std::string& path, const std::map<std::string, Rule>& rules) {
  std::string best;
  for (const auto& [room, rule] : rules)
    if (path.rfind(room + "/", 0) == 0 && room.size() > best.size()) best = room;
  return best;
}

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST(Layers, every_include_is_an_edge_of_layers_txt) {
  const auto rules = read_layers();
  ASSERT_GT(rules.size(), 10u);
  const std::regex include(R"rx(^\s*#\s*include\s*([<"])([^>"]+)[>"])rx");
  size_t edges = 0;
  for (const fs::path& path : sources()) {
    const std::string relative = fs::relative(path, kRoot);
    const std::string room = room_of(relative, rules);
    ASSERT_FALSE(room.empty()) << relative << " is in no room of docs/layers.txt";
    const Rule& rule = rules.at(room);
    std::istringstream lines(read(path));
    for (std::string line; std::getline(lines, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      const std::string target = match[2];
      if (match[1] == "\"" && target.find('/') == std::string::npos) continue;  // beside the file, in its own room
      const std::string to = target.rfind("espalier/", 0) == 0 ? "sdk" : room_of(target, rules);
      if (!to.empty()) {
        ++edges;
        EXPECT_TRUE(to == room || rule.rooms.count(to))
            << relative << " includes " << target << ": " << room << " may not include " << to;
        continue;
      }
      const std::string library = target.substr(0, target.find_first_of("/."));
      static const std::set<std::string> kKnown{"fmt",   "openssl", "nlohmann", "toml++", "CLI", "boost",
                                                "Eigen", "oneapi",  "dnnl",     "omp",    "png"};
      if (kKnown.count(library)) {
        EXPECT_TRUE(rule.libraries.count(library))
            << relative << " includes " << target << ": " << room << " may not use " << library;
      }
    }
  }
  EXPECT_GT(edges, 100u);
}

TEST(Layers, no_file_is_longer_than_500_lines) {
  std::vector<size_t> sizes;
  for (const fs::path& path : sources()) {
    const std::string text = read(path);
    const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    sizes.push_back(lines);
    EXPECT_LE(lines, 500u) << fs::relative(path, kRoot) << ": split it along a concept";
  }
  std::sort(sizes.begin(), sizes.end());
  ASSERT_FALSE(sizes.empty());
  std::cout << "files " << sizes.size() << ", median " << sizes[sizes.size() / 2] << " lines, p90 "
            << sizes[sizes.size() * 9 / 10] << ", longest " << sizes.back() << "\n";
}

TEST(Layers, no_unfinished_word_stays_in_the_sources) {
  const std::regex words(R"(\b(TODO|FIXME|XXX|HACK)\b)");
  for (const fs::path& path : sources()) EXPECT_FALSE(std::regex_search(read(path), words)) << fs::relative(path, kRoot);
}

TEST(Layers, every_room_has_a_short_readme) {
  for (const auto& [room, rule] : read_layers()) {
    const fs::path readme = kRoot / room / "README.md";
    ASSERT_TRUE(fs::exists(readme)) << room << " has no README.md";
    const std::string text = read(readme);
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 15) << readme;
  }
}
