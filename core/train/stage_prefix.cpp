#include "core/train/stage_prefix.h"

#include <sstream>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/train/stage_pruners.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

/// Checkpoints never change once they are there, so that a second name for their files is as good as a copy.
void link_or_copy(const fs::path& from, const fs::path& to) {
  fs::create_directories(to);
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const fs::path target = to / entry.path().filename();
    std::error_code fault;
    if (entry.is_directory())
      link_or_copy(entry.path(), target);
    else if (fs::create_hard_link(entry.path(), target, fault); fault)
      fs::copy_file(entry.path(), target);
  }
}

/// Files that grow are copied.
void copy_metrics(const fs::path& from, const fs::path& to) {
  fs::copy_file(from / "metrics.jsonl", to / "metrics.jsonl");
  fs::copy(from / "tensorboard", to / "tensorboard", fs::copy_options::recursive);
  if (fs::exists(from / "artifacts")) fs::copy(from / "artifacts", to / "artifacts", fs::copy_options::recursive);
}

template <typename F>
void or_user_error(const fs::path& folder, F&& act) {
  try {
    act();
  } catch (const fs::filesystem_error& error) {
    throw UserError("[" + folder.string() + "] cannot be made: " + error.what());
  }
}

}  // namespace

std::string prefix_text(const Recipe& recipe, size_t stages) {
  toml::table root = toml::parse(resolved_text(recipe));
  if (toml::array* all = root["stage"].as_array()) all->erase(all->cbegin() + static_cast<std::ptrdiff_t>(stages), all->cend());
  // A schedule that ends here is asked to its end in this stage, one that goes on once.
  if (stages > 0 && schedule_goes_on(recipe, stages - 1)) root.insert_or_assign("schedule_goes_on", true);
  toml::array losses;
  for (size_t i = 0; i < recipe.losses.size(); ++i) {
    toml::array within;
    for (size_t stage = 0; stage < stages; ++stage)
      if (recipe.losses[i].in_stage(stage)) within.push_back(static_cast<int64_t>(stage));
    if (within.empty()) continue;
    toml::table loss = *root["loss"][i].as_table();
    loss.insert_or_assign("stages", std::move(within));
    losses.push_back(std::move(loss));
  }
  root.insert_or_assign("loss", std::move(losses));
  toml::table& train = *root["train"].as_table();
  for (const char* key : {"steps", "save_dtype", "checkpoint_every", "keep_checkpoints"}) train.erase(key);
  const LrSchedule& schedule = recipe.train.lr_schedule;
  if (schedule.use != "constant" && !schedule.per_stage) root.insert_or_assign("planned_steps", recipe.planned_steps());
  std::ostringstream out;
  out << toml::toml_formatter(root) << '\n';
  return out.str();
}

void save_prefix(const fs::path& run, const fs::path& checkpoint, const fs::path& to) {
  or_user_error(to, [&] {
    AtomicFolder made(to);
    link_or_copy(checkpoint, made.path() / "checkpoint" / checkpoint.filename());
    copy_metrics(run, made.path());
    made.publish();
  });
}

void begin_from_prefix(const Recipe& recipe, const fs::path& from, const fs::path& run) {
  or_user_error(run, [&] {
    AtomicFolder made(run);
    write_text(made.path() / "recipe.resolved.toml", resolved_text(recipe));
    link_or_copy(from / "checkpoint", made.path() / "checkpoints");
    copy_metrics(from, made.path());
    made.publish();
  });
}

}  // namespace espalier::train
