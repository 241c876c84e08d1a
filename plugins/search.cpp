#include "plugins/search.h"

#include <sys/auxv.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "core/base/text.h"

namespace espalier::plugins {
namespace {

namespace fs = std::filesystem;

// getenv that is blind in a set-user-id process: data must not make a privileged program load code.
std::string environment(const char* name) {
  if (getauxval(AT_SECURE) != 0) return "";
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string folder_problem(const fs::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return "no such folder";
  if (!S_ISDIR(info.st_mode)) return "not a folder";
  if ((info.st_mode & S_IWOTH) != 0) return "refused: anyone may write to it (chmod o-w)";
  return "";
}

bool has_suffix(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.size() > kSuffix.size() && name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0;
}

// Two names of one file are one candidate.
std::string identity(const fs::path& file) {
  std::error_code error;
  const fs::path canonical = fs::canonical(file, error);
  return error ? file.string() : canonical.string();
}

std::vector<fs::path> plugin_files(const fs::path& folder, std::string& problem) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (has_suffix(entry->path())) files.push_back(entry->path());
  if (error) problem = "cannot be listed: " + error.message();
  std::sort(files.begin(), files.end());  // directory order is arbitrary
  return files;
}

}  // namespace

SearchRequest request_of_process(std::vector<fs::path> files) {
  SearchRequest request;
  request.files = std::move(files);
  request.path_variable = environment("ESPALIER_PLUGIN_PATH");
  request.lock = environment("ESPALIER_PLUGIN_LOCK");
  const std::string data = environment("XDG_DATA_HOME"), home = environment("HOME");
  if (!data.empty())
    request.user_folder = fs::path(data) / "espalier/plugins";
  else if (!home.empty())
    request.user_folder = fs::path(home) / ".local/share/espalier/plugins";
  std::error_code error;
  request.executable = fs::read_symlink("/proc/self/exe", error);
  return request;
}

SearchResult search(const SearchRequest& request) {
  SearchResult result;
  std::set<std::string> known_files, known_folders;
  for (const fs::path& file : request.files)
    if (known_files.insert(identity(file)).second) result.candidates.push_back({file, "--plugin", true});

  const auto add_folder = [&](const fs::path& folder, const std::string& origin) {
    SearchPlace place{folder, origin, folder_problem(folder)};
    if (!known_folders.insert(identity(folder)).second) return;
    if (place.problem.empty())
      for (const fs::path& file : plugin_files(folder, place.problem))
        if (known_files.insert(identity(file)).second) result.candidates.push_back({file, origin, false});
    result.places.push_back(std::move(place));
  };
  for (const std::string& folder : split(request.path_variable, ':'))
    if (!folder.empty()) add_folder(folder, "ESPALIER_PLUGIN_PATH");
  if (!request.user_folder.empty()) add_folder(request.user_folder, "user folder");
  if (!request.executable.empty()) {
    // A build tree is told by its cache; what it built is wanted there, not what is installed elsewhere.
    const fs::path root = request.executable.parent_path().parent_path();
    if (fs::exists(root / "CMakeCache.txt"))
      add_folder(root / "plugins", "build folder");
    else
      add_folder(root / "lib/espalier/plugins", "install folder");
  }
  return result;
}

std::string places_text(const std::vector<SearchPlace>& places) {
  std::vector<std::string> parts;
  for (const SearchPlace& place : places)
    parts.push_back(place.folder.string() + " (" + place.origin + (place.problem.empty() ? "" : ": " + place.problem) + ")");
  return "searched: " + (parts.empty() ? std::string("nothing") : join(parts, ", "));
}

}  // namespace espalier::plugins
