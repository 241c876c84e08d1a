#pragma once
#include <filesystem>
#include <optional>

namespace espalier::model {

/// The scheduler_config.json that belongs to a model: `scheduler/` of its pipeline folder, `scheduler/` beside its unet/ or
/// beside the folder or file that was named, or a scheduler_config.json in or beside it. Nothing when there is none.
std::optional<std::filesystem::path> find_scheduler_config(const std::filesystem::path& model);

}  // namespace espalier::model
