#include "plugins/lock.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/sha256.h"

namespace espalier::plugins {

Lock::Lock(const std::filesystem::path& file) : file_(file) {
  try {
    const auto root = nlohmann::json::parse(read_text(file));
    if (root.at("format") != 1)
      throw UserError(file.string() + ": a lock of format " + root.at("format").dump() + ", this program reads 1");
    for (const auto& row : root.at("plugins"))
      known_[row.at("sha256").get<std::string>()] = row.at("id").get<std::string>() + " " + row.at("version").get<std::string>();
  } catch (const nlohmann::json::exception& error) {
    throw UserError(file.string() + ": no lock of plugins: " + error.what() + "; `espalier plugin lock` writes one");
  }
}

std::string Lock::fault(const std::filesystem::path& plugin) const {
  std::string hash;
  try {
    hash = sha256_of_file(plugin);
  } catch (const UserError& error) {
    return error.what();
  }
  if (known_.contains(hash)) return "";
  return "its content (sha256 " + hash.substr(0, 16) + "…) is not in the lock " + file_.string();
}

}  // namespace espalier::plugins
