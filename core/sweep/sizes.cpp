#include "core/sweep/sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <sstream>

#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/base/memory_limit.h"
#include "core/base/progress.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/train/fingerprint.h"
#include "core/train/make_losses.h"
#include "core/train/measure_step.h"
#include "core/train/needs.h"
#include "core/train/open_data.h"
#include "core/train/stage_pruners.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostRows = 200;

train::Recipe recipe_of(const Trial& trial) {
  ErrorList errors;
  train::Recipe recipe = train::recipe_of_table(
      "recipe of " + trial.id, std::make_shared<toml::table>(io::parse_toml(trial.recipe, "recipe of " + trial.id)), errors);
  errors.throw_if_any();
  return recipe;
}

/// The recipe without what changes neither structure nor memory nor whether it is sound. A seed counts only where something is
/// pruned: pruners may draw.
std::string structure_key(const Trial& trial) {
  toml::table root = toml::parse(trial.recipe);
  toml::table& train = *root["train"].as_table();
  for (const char* key : {"clip_norm", "lr_schedule"}) train.erase(key);
  if (toml::table* optimizer = train["optimizer"].as_table())
    for (const char* key : {"lr", "eps", "betas", "weight_decay", "beta2_decay", "min_rms", "clip_rms"}) optimizer->erase(key);
  if (toml::array* losses = root["loss"].as_array())
    for (toml::node& loss : *losses)
      for (const char* key : {"weight", "start", "end"}) loss.as_table()->erase(key);
  bool prunes = false;
  if (toml::array* stages = root["stage"].as_array())
    for (toml::node& stage : *stages) prunes = prunes || stage.as_table()->contains("prune");
  if (!prunes) train.erase("seed");
  std::ostringstream out;
  out << root;
  return out.str();
}

/// A recipe opened as a run opens it.
struct Opened {
  train::Recipe recipe;
  train::Services services;
  train::Models models;
  std::unique_ptr<data::Source> source;
  train::Losses losses;
  std::vector<train::StagePreview> stages;

  Opened(train::Recipe of, const MakeServices& make)
      : recipe(std::move(of)), services(make(recipe)), models(train::open_models(recipe)), source(train::open_data(recipe)) {
    train::check_data_fits(recipe, models, *source);
    losses = train::make_losses(recipe, services, *source);
    stages = train::preview_stages(recipe, models, services, losses, *source, train::calibrate_on_data(recipe, services.backend));
  }
};

void check_rules(const Rules& rules, const Opened& opened) {
  const bool held_out = opened.source->validation_batches() > 0;
  ErrorList errors;
  if (const std::string fault =
          train::metric_fault(rules.objective.metric, opened.recipe.stages.back().steps, opened.stages.back(), held_out);
      !fault.empty())
    errors.add(rules.objective.place + ": [objective] " + fault);
  if (rules.stop.use != "none" && opened.recipe.train.validate_every == 0)
    errors.add(
        fmt::format("{}: [stop] looks at trials when they are validated; give [train] validate_every, best a divisor of "
                    "min_steps = {}",
                    rules.stop.place, rules.stop.min_steps));
  errors.throw_if_any();
}

std::map<std::string, std::string> inputs_of(const Opened& opened) {
  const train::Recipe& recipe = opened.recipe;
  std::map<std::string, std::string> paths;  // name of the fingerprint → path
  if (recipe.teacher) paths["teacher"] = recipe.teacher->string();
  if (recipe.student) paths["student"] = recipe.student->string();
  for (size_t i = 0; i < recipe.stages.size(); ++i)
    if (recipe.stages[i].teacher) paths[train::name_of_stage_teacher(i)] = recipe.stages[i].teacher->string();
  for (size_t i = 0; i < recipe.losses.size(); ++i)
    if (const auto& file = recipe.losses[i].plugin.file; !file.empty()) paths[train::name_of_loss_text(i)] = file.string();
  std::string& data = paths["data"] = recipe.data.path.string();
  for (const fs::path& file : recipe.data.files) data += (data.empty() ? "" : ", ") + file.string();
  std::map<std::string, std::string> inputs;
  for (const auto& [name, print] : train::fingerprints_of(recipe, opened.models)) inputs[paths.at(name)] = print;
  return inputs;
}

TrialSize size_of_trial(train::Recipe recipe, const Rules& rules, const MakeServices& make) {
  Opened opened(std::move(recipe), make);
  check_rules(rules, opened);
  opened.services.teacher_values = teacher_values_of(rules.share, {});
  const train::Needs needs =
      train::needs_of(opened.recipe, opened.models, opened.stages, opened.services, opened.losses, *opened.source);
  return {.parameters = opened.stages.back().parameters,
          .stages = static_cast<int64_t>(opened.stages.size()),
          .memory_bytes = needs.memory_bytes(),
          .disk_bytes = needs.disk_bytes,
          .student_bytes = needs.student_bytes,
          .step_flops = needs.step_flops,
          .shared_batch_bytes = needs.shared_batch_bytes,
          .held_out_batches = opened.source->validation_batches(),
          .inputs = inputs_of(opened)};
}

std::string duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

/// Stages that are trained once for several trials: how many steps that saves.
int64_t shared_steps(const std::vector<Trial>& trials) {
  std::map<std::string, int64_t> times;
  int64_t saved = 0;
  for (const Trial& trial : trials) {
    const train::Recipe recipe = recipe_of(trial);
    for (size_t k = 0; k < trial.prefixes.size(); ++k)
      if (times[trial.prefixes[k]]++ > 0) saved += recipe.stages[k].steps;
  }
  return saved;
}

}  // namespace

std::vector<TrialSize> size_trials(const std::vector<Trial>& trials, const std::function<train::Recipe(size_t)>& recipe_at,
                                   const std::vector<bool>& skip, const Rules& rules, const MakeServices& services,
                                   ErrorList& errors) {
  struct Fault {
    std::string trial;
    size_t more = 0;
  };
  std::vector<TrialSize> sizes(trials.size());
  std::map<std::string, std::pair<size_t, std::string>> looked_at;  // key → first trial with it, its fault
  std::vector<std::string> order;
  std::map<std::string, Fault> faults;
  Progress progress("looking at the trials", trials.size());
  for (size_t i = 0; i < trials.size(); ++i) {
    check_interrupt();
    progress.add(1);
    if (!skip.empty() && skip[i]) continue;
    const auto [at, fresh] = looked_at.emplace(structure_key(trials[i]), std::pair(i, std::string()));
    if (fresh) try {
        sizes[i] = size_of_trial(recipe_at(i), rules, services);
      } catch (const UserError& error) {
        at->second.second = error.what();
      }
    else
      sizes[i] = sizes[at->second.first];
    if (const std::string& fault = at->second.second; !fault.empty()) {
      const auto [known, first] = faults.emplace(fault, Fault{label_of(trials[i])});
      if (first)
        order.push_back(fault);
      else
        ++known->second.more;
    }
  }
  for (const std::string& text : order) {
    const Fault& fault = faults[text];
    errors.add(text + " (trial '" + fault.trial + "'" + (fault.more > 0 ? fmt::format(" and {} more", fault.more) : "") + ")");
  }
  return sizes;
}

std::string fault_of(const Trial& trial, const train::Recipe& recipe, const Rules& rules, const MakeServices& services,
                     std::map<std::string, std::string>& looked_at) {
  const auto [at, fresh] = looked_at.emplace(structure_key(trial), "");
  if (fresh) try {
      size_of_trial(recipe, rules, services);
    } catch (const UserError& error) {
      at->second = error.what();
    }
  return at->second;
}

uint64_t shared_bytes(const std::vector<Trial>& trials, const std::vector<TrialSize>& sizes, const std::vector<bool>& settled) {
  std::map<std::string, uint64_t> most;  // what the batches depend on → bytes
  for (size_t i = 0; i < trials.size(); ++i) {
    if (settled[i] || sizes[i].shared_batch_bytes == 0) continue;
    const train::Recipe recipe = recipe_of(trials[i]);
    std::string key =
        train::teacher_values_text(recipe, {}, recipe.stages.size(), false) + std::to_string(sizes[i].shared_batch_bytes);
    if (recipe.teacher) key += recipe.teacher->string();
    for (const train::StageSpec& stage : recipe.stages)
      if (stage.teacher) key += "\n" + stage.teacher->string();
    const int64_t batches = recipe.planned_steps() * recipe.train.accumulate + sizes[i].held_out_batches;
    uint64_t& bytes = most[key];
    bytes = std::max(bytes, static_cast<uint64_t>(batches) * sizes[i].shared_batch_bytes);
  }
  uint64_t sum = 0;
  for (const auto& [key, bytes] : most) sum += bytes;
  return sum;
}

void check_resources(const std::vector<TrialSize>& sizes, const std::vector<bool>& settled, int64_t jobs, bool keep_checkpoints,
                     const fs::path& folder, ErrorList& errors, bool workers_here, uint64_t shared_bytes) {
  std::vector<uint64_t> memory, running;
  uint64_t disk = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (settled[i]) continue;
    memory.push_back(sizes[i].memory_bytes);
    disk += keep_checkpoints ? sizes[i].disk_bytes : sizes[i].student_bytes;
    running.push_back(keep_checkpoints ? 0 : sizes[i].disk_bytes - sizes[i].student_bytes);
  }
  const auto largest = [&](std::vector<uint64_t>& bytes) {
    std::sort(bytes.rbegin(), bytes.rend());
    uint64_t sum = 0;
    for (size_t k = 0; k < bytes.size() && k < static_cast<size_t>(jobs); ++k) sum += bytes[k];
    return sum;
  };
  const uint64_t needed = largest(memory), available = available_memory_bytes();
  if (workers_here && needed > available) {
    uint64_t sum = 0;
    int64_t fit = 0;
    while (fit < static_cast<int64_t>(memory.size()) && sum + memory[static_cast<size_t>(fit)] <= available)
      sum += memory[static_cast<size_t>(fit++)];
    errors.add(fmt::format("[memory] {} trials at once need up to {}, and {} can be had; {}", jobs, human_bytes(needed),
                           human_bytes(available),
                           fit > 0 ? fmt::format("--jobs {} fits", fit) : "not even one fits: see espalier distill --dry-run"));
  }
  disk += largest(running) + shared_bytes;
  fs::path there = fs::absolute(folder);
  while (!fs::exists(there)) there = there.parent_path();
  try {
    require_free_space(there, disk);
  } catch (const UserError& error) {
    errors.add(error.what());
  }
}

void print_trials(const std::vector<Trial>& trials, const std::vector<TrialSize>& sizes, const Rules& rules, int64_t jobs,
                  const MakeServices& services, std::ostream& out) {
  Opened first(recipe_of(trials[0]), services);
  const double step_s = train::measure_step_s(first.recipe, first.models, first.stages, train::largest_stage(first.stages),
                                              first.services, first.losses, *first.source);
  using Align = terminal::Table::Align;
  terminal::Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kLeft});
  table.header({"trial", "steps", "parameters", "memory", "disk", "time", "settings"});
  double all_s = 0;
  int64_t steps = 0;
  uint64_t most_memory = 0, disk = 0;
  for (size_t i = 0; i < trials.size(); ++i) {
    const double relative = sizes[0].step_flops > 0 ? sizes[i].step_flops / sizes[0].step_flops : 1;
    const double trial_s = step_s * relative * static_cast<double>(trials[i].planned_steps);
    all_s += trial_s, steps += trials[i].planned_steps, disk += sizes[i].student_bytes;
    most_memory = std::max(most_memory, sizes[i].memory_bytes);
    if (i < kMostRows)
      table.row({trials[i].id, with_commas(trials[i].planned_steps), with_commas(sizes[i].parameters),
                 human_bytes(sizes[i].memory_bytes), human_bytes(sizes[i].disk_bytes), duration(trial_s), label_of(trials[i])});
  }
  out << table.text();
  if (trials.size() > kMostRows) out << fmt::format("… and {} more\n", trials.size() - kMostRows);
  const int64_t saved = shared_steps(trials);
  const double left_s = all_s * (1 - static_cast<double>(saved) / static_cast<double>(std::max<int64_t>(steps, 1)));
  out << fmt::format("\n{} trials, {} steps", with_commas(static_cast<int64_t>(trials.size())), with_commas(steps));
  if (saved > 0) out << fmt::format(", {} of them in stages that are trained once for several trials", with_commas(saved));
  out << fmt::format(
      "\nabout {} of work by two steps of the first trial ({:.3f} s each on this machine, as it is now, all to itself); "
      "workers: {}\n",
      duration(left_s), step_s, jobs);
  if (rules.stop.use != "none") out << fmt::format("less what {} stops early\n", rules.stop.use);
  out << fmt::format("memory  up to {} for each worker, {} can be had\ndisk    {} for the students\n", human_bytes(most_memory),
                     human_bytes(available_memory_bytes()), human_bytes(disk));
  if (rules.share.teacher_values == "off") return;
  const uint64_t shared = shared_bytes(trials, sizes, std::vector<bool>(trials.size(), false));
  out << fmt::format("shared  {} of the teacher's values as {} for each batch, about {} in all, at most {}\n",
                     human_bytes(sizes[0].shared_batch_bytes), rules.share.teacher_values, human_bytes(shared),
                     human_bytes(rules.share.limit_bytes()));
}

}  // namespace espalier::sweep
