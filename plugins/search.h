#pragma once
// Where plugin files are looked for, in which order, and what was found there.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::plugins {

inline constexpr std::string_view kSuffix = ".esp.so";

/// One folder of the search order. `problem` says why nothing was taken from it ("no such folder", …); empty when it was read.
struct SearchPlace {
  std::filesystem::path folder;
  std::string origin;  // "ESPALIER_PLUGIN_PATH", "user folder", "install folder", "build folder"
  std::string problem;
};

/// A file that may be a plugin. `named`: given by --plugin, and so preferred to any other file with the same components.
struct Candidate {
  std::filesystem::path file;
  std::string origin;
  bool named = false;
};

struct SearchRequest {
  std::vector<std::filesystem::path> files;  // --plugin, in order
  std::string path_variable;                 // ESPALIER_PLUGIN_PATH: folders separated by ':'; empty when unset or privileged
  std::filesystem::path user_folder;         // empty: none
  std::filesystem::path executable;          // empty: no install folder
  std::filesystem::path lock;                // `plugin lock` wrote it: files of other content are refused; empty: none
};

struct SearchResult {
  std::vector<SearchPlace> places;    // in search order
  std::vector<Candidate> candidates;  // named files first, then each folder's, sorted by name
};

/// The request of this process: environment (ignored when the process runs with more rights than its user), user
/// folder ($XDG_DATA_HOME or ~/.local/share)/espalier/plugins, own executable.
SearchRequest request_of_process(std::vector<std::filesystem::path> files);

/// Lists every place. A folder that anyone may write to is refused; other suffixes than .esp.so are not candidates; a file that
/// two places name is one candidate. Errors: none, problems are in the result.
SearchResult search(const SearchRequest& request);

/// "searched: FOLDER (origin), FOLDER (origin: no such folder)", for messages.
std::string places_text(const std::vector<SearchPlace>& places);

}  // namespace espalier::plugins
