#include "core/train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;
constexpr const char* kRecipe = "recipe.resolved.toml";

}  // namespace

RunFolder::RunFolder(fs::path path, const Recipe& recipe, bool resume) : path_(std::move(path)), recipe_(resolved_text(recipe)) {
  there_ = fs::exists(fs::symlink_status(path_)) && !(fs::is_directory(path_) && fs::is_empty(path_));
  if (!there_) return;
  if (!resume)
    throw UserError(path_.string() +
                    " exists, and a run is never overwritten; choose another folder, or give --resume to go on with it");
  if (!fs::exists(path_ / kRecipe)) throw UserError(path_.string() + ": is no run (it has no " + kRecipe + ")");
  lock();
  if (const std::string before = read_text(path_ / kRecipe); before != recipe_)
    throw UserError(path_.string() + ": was made from another recipe; a run goes on with its own\n" +
                    line_difference(before, recipe_));
}

void RunFolder::begin() {
  if (there_) return;
  AtomicFolder made(path_);
  write_text(made.path() / kRecipe, recipe_);
  fs::create_directories(made.path() / "checkpoints");
  made.publish();
  lock();
  there_ = true;
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);  // the lock goes with it
}

// The system frees the lock when the process dies, however it does.
void RunFolder::lock() {
  lock_ = ::open((path_ / kRecipe).c_str(), O_RDONLY | O_CLOEXEC);
  if (lock_ < 0) throw UserError(path_.string() + ": is no run (cannot read its " + kRecipe + ": " + std::strerror(errno) + ")");
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0)
    throw UserError(path_.string() + ": another process runs in this folder; wait for it, or choose another folder");
}

bool RunFolder::finished() const {
  return fs::exists(path_ / "manifest.json") && fs::exists(path_ / "student" / "unet" / "config.json");
}

std::string line_difference(const std::string& before, const std::string& after, size_t limit) {
  const std::vector<std::string> a = split(before, '\n'), b = split(after, '\n');
  std::vector<std::string> lines;
  const auto only_in = [&](const std::vector<std::string>& these, const std::vector<std::string>& those, const char* sign) {
    for (const std::string& line : these)
      if (std::find(those.begin(), those.end(), line) == those.end()) lines.push_back(sign + printable(line));
  };
  only_in(a, b, "  - ");
  only_in(b, a, "  + ");
  if (lines.size() > limit) {
    const size_t more = lines.size() - limit;
    lines.resize(limit);
    lines.push_back("  … and " + std::to_string(more) + " more");
  }
  return join(lines, "\n");
}

}  // namespace espalier::train
