#include <sstream>

#include "core/train/recipe.h"

namespace espalier::train {
namespace {

/// Sets `key` of `table` to what was read, or was left out and has a default: 1 and 1.0 give one text.
template <typename T>
void put(toml::table& table, const char* key, T value) {
  table.insert_or_assign(key, value);
}

/// Rows and [tables] are written as such, however the recipe had them; tables within rows in one line.
void lay_out(toml::table& table, bool within_row) {
  table.is_inline(within_row);
  for (auto&& [key, node] : table) {
    if (toml::table* inner = node.as_table()) lay_out(*inner, within_row);
    if (toml::array* rows = node.as_array(); rows != nullptr && !within_row)
      for (toml::node& row : *rows)
        if (toml::table* each = row.as_table()) {
          each->is_inline(false);
          for (auto&& [name, value] : *each)
            if (toml::table* inner = value.as_table()) lay_out(*inner, true);
        }
  }
}

toml::table& table_at(toml::table& table, const char* key) {
  if (!table.contains(key)) table.insert_or_assign(key, toml::table{});
  return *table.get(key)->as_table();
}

void fill_optimizer(toml::table& table, const OptimizerSpec& spec) {
  put(table, "use", spec.use);
  put(table, "lr", spec.lr);
  put(table, "weight_decay", spec.weight_decay);
  put(table, "eps", spec.eps);
  if (spec.factored()) {
    put(table, "beta2_decay", spec.beta2_decay);
    put(table, "min_rms", spec.min_rms);
    put(table, "clip_rms", spec.clip_rms);
  } else {
    put(table, "betas", toml::array{spec.betas[0], spec.betas[1]});
  }
}

void fill_train(toml::table& table, const TrainSpec& train) {
  if (train.clip_norm) put(table, "clip_norm", *train.clip_norm);
  if (train.ema_decay) put(table_at(table, "ema"), "decay", *train.ema_decay);
  put(table, "batch_size", train.batch_size);
  put(table, "accumulate", train.accumulate);
  put(table, "seed", static_cast<int64_t>(train.seed));
  put(table, "save_dtype", std::string(name_of(train.save_dtype)));
  put(table, "precision", std::string(name_of(train.precision)));
  put(table, "checkpoint_every", train.checkpoint_every);
  put(table, "keep_checkpoints", train.keep_checkpoints);
  put(table, "validate_every", train.validate_every);
  put(table, "teacher_weights", std::string(train.teacher_mapped ? "mapped" : "packed"));
  fill_optimizer(table_at(table, "optimizer"), train.optimizer);
  toml::table& lr = table_at(table, "lr_schedule");
  put(lr, "use", train.lr_schedule.use);
  put(lr, "warmup", train.lr_schedule.warmup);
  if (train.lr_schedule.use == "cosine") put(lr, "final_share", train.lr_schedule.final_share);
  put(lr, "per", std::string(train.lr_schedule.per_stage ? "stage" : "run"));
}

}  // namespace

std::string resolved_text(const Recipe& recipe) {
  toml::table root = *recipe.root;
  if (recipe.data.source == "cache") {
    toml::table& data = table_at(root, "data");
    put(data, "validation_rows", recipe.data.validation_rows);
    put(data, "caption_dropout", recipe.data.caption_dropout);
    put(data, "shuffle", recipe.data.shuffle);
  }
  toml::table& diffusion = table_at(root, "diffusion");
  put(diffusion, "prediction_type", std::string(recipe.predicts_v ? "v_prediction" : "epsilon"));
  put(diffusion, "schedule", recipe.schedule.name);
  if (recipe.schedule.name != "squaredcos_cap_v2") {
    put(diffusion, "beta_start", recipe.schedule.beta_start);
    put(diffusion, "beta_end", recipe.schedule.beta_end);
  }
  if (recipe.calibration_batches == Recipe{}.calibration_batches) root.erase("calibration");
  fill_train(table_at(root, "train"), recipe.train);
  if (toml::array* losses = root["loss"].as_array())
    for (size_t i = 0; i < losses->size(); ++i) {
      toml::table& loss = *losses->get(i)->as_table();
      const LossSpec& spec = recipe.losses[i];
      put(loss, "weight", spec.weight);
      put(loss, "start", spec.start);
      put(loss, "end", spec.end);
      if (spec.weights.empty()) loss.erase("weights");
      bool everywhere = true;
      for (size_t stage = 0; stage < recipe.stages.size(); ++stage) everywhere = everywhere && spec.in_stage(stage);
      if (everywhere) loss.erase("stages");
    }
  if (toml::array* stages = root["stage"].as_array()) {
    table_at(root, "train").erase("steps");  // each has its own below
    for (size_t i = 0; i < stages->size(); ++i) {
      toml::table& stage = *stages->get(i)->as_table();
      put(stage, "steps", recipe.stages[i].steps);
      if (recipe.stages[i].until && !stage.contains("on_fail")) put(stage, "on_fail", std::string("rollback"));
    }
  }
  lay_out(root, false);
  std::ostringstream out;
  out << toml::toml_formatter(root) << "\n";
  return out.str();
}

}  // namespace espalier::train
