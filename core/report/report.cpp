#include "core/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/inspect/summary.h"
#include "core/io/memory_source.h"
#include "core/report/draw_pictures.h"
#include "core/report/facts.h"
#include "core/report/kept_pictures.h"
#include "core/report/measure_forward.h"
#include "core/report/stage_facts.h"
#include "core/train/open_data.h"

namespace espalier::report {
namespace {

namespace fs = std::filesystem;

/// "student-ema" of one run says little: the folder above it is named too.
std::string name_of_model(const fs::path& given) {
  fs::path path = given.lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  if (path.filename() == "unet") path = path.parent_path();
  const std::string name = path.filename().string(), above = path.parent_path().filename().string();
  return name.rfind("student", 0) == 0 && !above.empty() ? above + "/" + name : name;
}

model::Model model_of(const fs::path& path, const model::BlockTree& tree, io::TensorSourcePtr weights) {
  model::Model model;
  model.path = path;
  model.layout = model::ModelLayout::kUNetFolder;
  model.config = tree.config;
  model.tree = tree;
  model.weights = std::move(weights);
  return model;
}

/// The student's structure with the weights that the run began with; nothing where these were random.
std::optional<model::Model> untrained(const train::FinishedRun& run) {
  if (run.recipe.random_student || run.models.weights == nullptr) return std::nullopt;
  const auto cut_by = [&](const prune::RemovalPlan& plan) {
    const model::BlockTree& base = run.models.base.tree;
    return model::tensor_specs(plan.removals.empty() ? base : prune::apply_plan(base, plan));
  };
  std::map<std::string, std::string> at_start;  // the base's name → the name in the weights that the run began with
  for (const model::TensorSpec& spec : cut_by(run.models.start)) at_start.emplace(spec.origin, spec.name);
  std::vector<std::pair<std::string, std::string>> names;
  for (const model::TensorSpec& spec : cut_by(run.student.structure().plan))
    names.emplace_back(spec.name, at_start.at(spec.origin));
  return model_of("the student before training", run.student.structure().tree,
                  std::make_shared<io::RenamedTensorSource>(run.models.weights, std::move(names)));
}

ModelFacts facts_of(const model::Model& model, const data::Batch& batch) {
  const Shape& latents = batch.tensors.at("latents").shape;
  const inspect::ModelSummary summary = inspect::summarise(
      model, {.height = latents[1], .width = latents[2], .tokens = batch.tensors.at("encoder_hidden_states").shape[1]});
  ModelFacts facts{.parameters = summary.parameters,
                   .tensors = summary.tensors,
                   .resnets = summary.resnets,
                   .transformer_blocks = summary.transformer_blocks,
                   .flops = summary.root.flops,
                   .weight_bytes = summary.root.weight_bytes,
                   .dtype = summary.dtype,
                   .loaders = summary.loaders};
  for (const model::BlockRef& ref : model::block_refs(model.tree)) facts.attentions += ref.kind == "attention" ? 1 : 0;
  return facts;
}

void set_time(ModelFacts& facts, const ForwardTime& time) {
  facts.forward_ms = time.median_ms;
  facts.slowest_forward_ms = time.most_ms;
}

std::vector<std::pair<std::string, std::string>> lineage_of(const train::FinishedRun& run, const data::Source& source) {
  const train::Recipe& recipe = run.recipe;
  std::vector<std::pair<std::string, std::string>> rows{
      {"command", "espalier distill recipe.resolved.toml --out NEW"},
      {"program", "espalier " ESPALIER_VERSION},
      {"backend", run.services.backend ? run.services.backend->describe() : "reference"},
      {"seed", std::to_string(recipe.train.seed)},
      {"steps", fmt::format("{}, of {} samples in {} part{}", with_commas(run.state.position.step),
                            recipe.train.batch_size * recipe.train.accumulate, recipe.train.accumulate,
                            recipe.train.accumulate == 1 ? "" : "s")},
      {"noise", fmt::format("{}, {} prediction", recipe.schedule.name, recipe.predicts_v ? "velocity" : "noise")},
      {"data", join(source.describe(), "\n")}};
  if (run.models.teacher) {
    rows.emplace_back("teacher", run.models.teacher->path.string());
    for (size_t i = 0; i < recipe.stages.size(); ++i)
      if (recipe.stages[i].teacher)
        rows.emplace_back(fmt::format("teacher from stage {}", i + 1), recipe.stages[i].teacher->string());
    rows.emplace_back("teacher's structure", model::structure_hash(run.models.teacher->config));
  }
  rows.emplace_back("student's structure", model::structure_hash(run.student.structure().tree.config));
  return rows;
}

}  // namespace

void write_report(const train::FinishedRun& run) {
  const train::Recipe& recipe = run.recipe;
  const auto source = train::open_data(recipe);
  const data::Batch batch = source->batch(0);
  const Shape& latents = batch.tensors.at("latents").shape;
  Facts facts;
  facts.run = fs::absolute(run.folder / "").parent_path().filename().string();
  facts.has_teacher = run.models.teacher.has_value();
  facts.steps = run.state.position.step;
  facts.samples_per_step = recipe.train.batch_size * recipe.train.accumulate;
  facts.batch = latents[0], facts.height = latents[1], facts.width = latents[2], facts.channels = latents[3];
  facts.tokens = batch.tensors.at("encoder_hidden_states").shape[1];
  facts.backend = run.services.backend ? run.services.backend->describe() : "reference";
  facts.stages = stage_facts(run);
  facts.removed = removed_blocks(run, facts.stages);
  facts.base = run.models.base.tree;
  facts.metrics = read_metrics(run.folder / "metrics.jsonl");
  facts.recipe = read_text(run.folder / "recipe.resolved.toml");
  facts.lineage = lineage_of(run, *source);

  // The last stage's teacher is the one that the student was last compared with; all of a run have one structure.
  const std::optional<model::Model> teacher =
      run.models.teacher ? train::teacher_of(recipe, run.models, recipe.stages.size() - 1) : std::nullopt;
  const model::Model* before = teacher                                        ? &*teacher
                               : run.models.student && !recipe.random_student ? &*run.models.student
                                                                              : nullptr;
  const model::BlockTree& tree = run.student.structure().tree;
  const model::Model student = model_of(run.folder / "student", tree, run.student.weights());
  facts.after = facts_of(student, batch);
  facts.after.name = "student";
  facts.after.dtype = std::string(name_of(recipe.train.save_dtype));
  facts.after.weight_bytes = static_cast<uint64_t>(facts.after.parameters) * size_of(recipe.train.save_dtype);
  std::vector<const model::Model*> timed{&student};
  if (before != nullptr) {
    facts.before = facts_of(*before, batch);
    facts.before->name = name_of_model(before->path);
    timed.push_back(before);
  }
  const std::vector<ForwardTime> times =
      measure_forward(timed, batch, {.backend = run.services.backend, .mapped = recipe.train.teacher_mapped});
  facts.forwards = times[0].forwards;
  set_time(facts.after, times[0]);
  if (before != nullptr) set_time(*facts.before, times[1]);

  NamedModels drawn;
  if (teacher) drawn.emplace_back("teacher", &*teacher);
  const std::optional<model::Model> start = untrained(run);
  if (start) drawn.emplace_back(facts.removed.empty() ? "untrained" : "pruned, untrained", &*start);
  drawn.emplace_back("student", &student);
  std::optional<model::Model> average;
  if (recipe.train.ema_decay) {
    average = model_of(run.folder / "student-ema", tree, run.student.weights(true));
    drawn.emplace_back("student, EMA", &*average);
  }
  facts.pictures = draw_pictures(run, *source, drawn);
  keep_pictures(facts.pictures, run.folder);
  write_text(run.folder / "report.html", to_html(facts));
}

void write_report_again(const fs::path& run, const train::Services& services) {
  if (!fs::is_regular_file(run / "manifest.json"))
    throw UserError("[" + run.string() + "] is no finished run (it has no manifest.json); espalier distill RECIPE --out " +
                    run.string() + " --resume brings one to its end");
  ErrorList errors;
  const train::Recipe recipe = train::read_recipe(run / "recipe.resolved.toml", {}, errors);
  errors.throw_if_any();
  const train::Models models = train::open_models(recipe);
  std::vector<std::string> notes;
  const std::optional<fs::path> newest = train::CheckpointFolder(run).newest_good(notes, false);
  for (const std::string& note : notes) services.say(note);
  if (!newest)
    throw UserError("[" + (run / "checkpoints").string() + "] has no checkpoint; the report is made from the run's last one");
  const train::LoadedCheckpoint loaded =
      train::read_checkpoint(*newest, models.base, recipe.train.optimizer, recipe.train.ema_decay.has_value());
  const nlohmann::json manifest = nlohmann::json::parse(read_text(run / "manifest.json"));
  if (loaded.state.position.planned != manifest.value("steps", loaded.state.position.planned))
    throw UserError("[" + newest->string() + "] is of step " + std::to_string(loaded.state.position.planned) +
                    ", and the run ended after " + manifest["steps"].dump() +
                    "; the report is made from the run's last checkpoint");
  const auto source = train::open_data(recipe);
  write_report({recipe, services, models, *loaded.student, loaded.state, *source, run});
}

}  // namespace espalier::report
