#include <array>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/io/safetensors.h"

namespace espalier::io {
namespace fs = std::filesystem;
namespace {

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool is_index(const fs::path& file) {
  const std::string name = file.filename().string();
  return ends_with(name, ".safetensors.index.json") || ends_with(name, ".safetensors.index.fp16.json");
}

TensorSourcePtr open_file(const fs::path& file, const OpenOptions& options) {
  return is_index(file) ? open_sharded(file, options) : open_safetensors(file, options);
}

}  // namespace

TensorSourcePtr open_weights(const fs::path& folder_or_file, const OpenOptions& options, const std::string& stem) {
  std::error_code error;
  const fs::file_status status = fs::status(folder_or_file, error);
  if (!fs::exists(status)) throw UserError(folder_or_file.string() + ": no such file or folder");
  if (!fs::is_directory(status)) return open_file(folder_or_file, options);

  const std::array<std::string, 5> order = {stem + ".safetensors", stem + ".safetensors.index.json", stem + ".fp16.safetensors",
                                            stem + ".fp16.safetensors.index.json", stem + ".safetensors.index.fp16.json"};
  std::vector<std::string> found;
  for (const std::string& name : order)
    if (fs::exists(folder_or_file / name, error)) found.push_back(name);
  if (!found.empty()) {
    if (found.size() > 1 && options.notes != nullptr)
      options.notes->push_back(folder_or_file.string() + ": reads " + found.front() + ", not " +
                               join(std::span(found).subspan(1), ", "));
    return open_file(folder_or_file / found.front(), options);
  }
  for (const char* suffix : {".bin", ".fp16.bin", ".bin.index.json"})
    if (fs::exists(folder_or_file / (stem + suffix), error))
      throw UserError(folder_or_file.string() + ": has only " + stem + suffix +
                      ", a pickle that would run code when opened; convert it to safetensors first");
  throw UserError(folder_or_file.string() + ": has no " + order[0] + " (nor " + order[1] + ")");
}

}  // namespace espalier::io
