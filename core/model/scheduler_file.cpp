#include "core/model/scheduler_file.h"

#include <vector>

namespace espalier::model {

std::optional<std::filesystem::path> find_scheduler_config(const std::filesystem::path& model) {
  constexpr const char* kName = "scheduler_config.json";
  std::filesystem::path folder = std::filesystem::absolute(model).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "unet/"
  std::vector<std::filesystem::path> places;
  if (std::filesystem::is_directory(folder)) places = {folder / "scheduler" / kName, folder / kName};
  places.push_back(folder.parent_path() / "scheduler" / kName);
  places.push_back(folder.parent_path() / kName);
  // The config or a file of weights in the unet/ of a pipeline.
  if (folder.parent_path().filename() == "unet") places.push_back(folder.parent_path().parent_path() / "scheduler" / kName);
  for (const auto& place : places)
    if (std::filesystem::is_regular_file(place)) return place;
  return std::nullopt;
}

}  // namespace espalier::model
