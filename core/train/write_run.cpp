#include "core/train/write_run.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors_writer.h"
#include "core/train/model_card.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

prune::OriginMap origins_of(const FinishedRun& run) {
  const Structure& structure = run.student.structure();
  return structure.origins ? *structure.origins : prune::OriginMap{model::structure_hash(run.models.base.tree.config), {}};
}

/// What draws with a model that was trained so, as diffusers reads it: DDIM, with the recipe's schedule and prediction.
std::string scheduler_config(const Recipe& recipe) {
  const distill::NoiseSchedule& schedule = recipe.schedule;
  nlohmann::json config{{"_class_name", "DDIMScheduler"},
                        {"beta_schedule", schedule.name},
                        {"clip_sample", false},
                        {"num_train_timesteps", schedule.steps},
                        {"prediction_type", recipe.predicts_v ? "v_prediction" : "epsilon"},
                        {"set_alpha_to_one", true},
                        {"steps_offset", 0},
                        {"timestep_spacing", "trailing"}};
  if (schedule.name != "squaredcos_cap_v2") {
    config["beta_start"] = schedule.beta_start;
    config["beta_end"] = schedule.beta_end;
  }
  return config.dump(2) + "\n";
}

void write_manifest(const FinishedRun& run) {
  nlohmann::json history = nlohmann::json::array();
  for (const StageRecord& row : run.state.history) {
    nlohmann::json each{{"stage", row.stage},     {"attempt", row.attempt}, {"step", row.step},
                        {"removed", row.removed}, {"gate", row.gate},       {"outcome", row.outcome}};
    if (row.value) each["value"] = *row.value;
    history.push_back(std::move(each));
  }
  nlohmann::json teachers = nlohmann::json::array();
  for (const fs::path& teacher : teachers_of(run)) teachers.push_back(teacher.string());
  const Position& at = run.state.position;
  nlohmann::json root{{"format", 1},
                      {"steps", at.planned},
                      {"steps_taken_back", at.step - at.planned},
                      {"parameters", run.student.parameters()},
                      {"student", model::structure_hash(run.student.structure().tree.config)},
                      {"base", model::structure_hash(run.models.base.tree.config)},
                      {"teachers", teachers},
                      {"backend", run.services.backend ? run.services.backend->describe() : "reference"},
                      {"rows", run.source.rows()},
                      {"stages", history}};
  if (run.services.teacher_values && run.services.teacher_values->dtype != DType::kF32)
    root["teacher_values"] = name_of(run.services.teacher_values->dtype);  // rounded: they are part of what the student is
  write_text(run.folder / "manifest.json", root.dump(1) + "\n");
}

/// What is wrong with the first weight (or average) that is not finite or is not so as `dtype`, and what to do; "" when all are.
std::string unwritable(const Student& student, bool ema, DType dtype) {
  const std::string lower_lr = "a lower [train.optimizer] lr";
  for (const TrainedTensor& tensor : student.tensors()) {
    if (tensor.of_loss) continue;
    const Buffer& buffer = ema ? *tensor.ema : tensor.weight;
    const std::string at = fmt::format("[{}] has a{} of ", tensor.name, ema ? "n average weight" : " weight");
    const std::span<const float> values = buffer.floats();
    for (float value : values)
      if (!std::isfinite(value))
        return fmt::format("{}{}; start a new run with {} or with [train] clip_norm", at, value, lower_lr);
    if (dtype == DType::kF32) continue;
    const std::vector<std::byte> stored = io::convert({buffer.type(), buffer.bytes()}, dtype);
    const std::vector<float> back = io::read_f32({{dtype, buffer.type().shape}, stored});
    for (size_t i = 0; i < back.size(); ++i)
      if (!std::isfinite(back[i]))
        return fmt::format("{}{}, which {} cannot hold; start a new run with [train] save_dtype = \"f32\"{} or with {}", at,
                           values[i], name_of(dtype), dtype == DType::kF16 ? " or \"bf16\"," : "", lower_lr);
  }
  return "";
}

/// Errors: Error unless every weight, and average, is a number that the files can hold. Looked at before the first file is made.
void require_writable(const FinishedRun& run) {
  const TrainSpec& train = run.recipe.train;
  for (bool ema : {false, true})
    if (!ema || train.ema_decay)
      if (const std::string fault = unwritable(run.student, ema, train.save_dtype); !fault.empty())
        throw Error(fault + "; no student is written");
}

}  // namespace

void write_trained_student(const FinishedRun& run, bool ema, const fs::path& to) {
  const Structure& structure = run.student.structure();
  std::error_code fault;
  fs::remove_all(to, fault);  // of a run that was killed between here and its manifest
  uint64_t bytes = run.models.teacher ? prune::bytes_beside_unet(*run.models.teacher) : 0;
  std::vector<io::TensorDecl> declared;
  for (const TrainedTensor& tensor : run.student.tensors()) {
    if (tensor.of_loss) continue;
    declared.push_back({tensor.name, {run.recipe.train.save_dtype, tensor.weight.type().shape}});
    bytes += declared.back().type.bytes();
  }
  AtomicFolder folder(to, bytes);
  const fs::path unet = folder.path() / "unet";
  fs::create_directories(unet);
  write_text(unet / "config.json", model::write_config(structure.tree.config));
  io::SafetensorsWriter writer(unet / "diffusion_pytorch_model.safetensors", declared, {{"format", "pt"}});
  const io::TensorSourcePtr weights = run.student.weights(ema);
  for (const io::TensorDecl& tensor : declared) writer.write(tensor.name, weights->get(tensor.name));
  writer.finish();
  write_text(folder.path() / "plan.toml", prune::write_plan(structure.plan));
  write_text(folder.path() / "origin.json", prune::write_origins(origins_of(run)));
  if (run.models.teacher) prune::copy_beside_unet(*run.models.teacher, folder.path(), {"plan.toml", "origin.json", "README.md"});
  write_text(folder.path() / "README.md", model_card(run, ema ? CardOf::kEma : CardOf::kStudent));
  const fs::path scheduler = folder.path() / "scheduler" / "scheduler_config.json";
  if (!fs::exists(scheduler)) {
    fs::create_directories(scheduler.parent_path());
    write_text(scheduler, scheduler_config(run.recipe));
  }
  folder.publish();
}

void write_run(const FinishedRun& run) {
  require_writable(run);
  write_trained_student(run, false, run.folder / "student");
  if (run.recipe.train.ema_decay) write_trained_student(run, true, run.folder / "student-ema");
  write_text(run.folder / "plan.toml", prune::write_plan(run.student.structure().plan));
  write_text(run.folder / "origin.json", prune::write_origins(origins_of(run)));
  write_text(run.folder / "README.md", model_card(run, CardOf::kRun));
  if (run.services.report) run.services.report(run);
  write_manifest(run);
}

}  // namespace espalier::train
