#include "core/passes/dump.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/ir/print.h"

namespace espalier::passes {
namespace {

constexpr size_t kForeignShown = 3;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// index.txt and NNN_<words>.eir.
bool is_dump_file(const std::filesystem::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  if (!entry.is_regular_file() || entry.is_symlink()) return false;
  if (name == "index.txt") return true;
  return name.size() > 8 && std::all_of(name.begin(), name.begin() + 3, is_digit) && name[3] == '_' &&
         name.substr(name.size() - 4) == ".eir" && is_identifier(name.substr(4, name.size() - 8));
}

}  // namespace

DumpFolder::DumpFolder(std::filesystem::path folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::error_code failed;
  std::filesystem::create_directories(folder_, failed);
  if (failed || !std::filesystem::is_directory(folder_))
    throw UserError("[dump-ir] " + folder_.string() + " cannot be made a folder; name another");
  std::vector<std::filesystem::path> ours;
  std::vector<std::string> foreign;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, failed))
    is_dump_file(entry) ? ours.push_back(entry.path()) : foreign.push_back(printable(entry.path().filename().string()));
  if (failed) throw UserError("[dump-ir] " + folder_.string() + " cannot be read: " + failed.message());
  std::sort(foreign.begin(), foreign.end());
  if (!foreign.empty()) {
    const std::string more =
        foreign.size() > kForeignShown ? " and " + std::to_string(foreign.size() - kForeignShown) + " more" : "";
    foreign.resize(std::min(foreign.size(), kForeignShown));
    throw UserError("[dump-ir] " + folder_.string() + " holds files that are not a dump: " + join(foreign, ", ") + more +
                    "; name an empty or new folder");
  }
  for (const auto& file : ours) std::filesystem::remove(file);
}

void DumpFolder::add(std::string_view name, const Graph* graph) {
  if (folder_.empty()) return;
  std::string number = std::to_string(next_);
  number.insert(0, number.size() < 3 ? 3 - number.size() : 0, '0');
  next_ += 10;
  if (graph != nullptr) write_text(folder_ / (number + "_" + std::string(name) + ".eir"), print(*graph));
}

void DumpFolder::finish(std::string_view table) {
  if (!folder_.empty()) write_text(folder_ / "index.txt", table);
}

}  // namespace espalier::passes
