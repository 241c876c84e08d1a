#include <sstream>

#include "core/train/recipe.h"

namespace espalier::train {
namespace {

/// Sets `key` of `table` where the recipe left it out.
template <typename T>
void fill(toml::table& table, const char* key, T value) {
  if (!table.contains(key)) table.insert_or_assign(key, value);
}

toml::table& table_at(toml::table& table, const char* key) {
  if (!table.contains(key)) table.insert_or_assign(key, toml::table{});
  return *table.get(key)->as_table();
}

void fill_optimizer(toml::table& table, const OptimizerSpec& spec) {
  fill(table, "use", spec.use);
  fill(table, "lr", spec.lr);
  fill(table, "weight_decay", spec.weight_decay);
  fill(table, "eps", spec.eps);
  if (spec.factored()) {
    fill(table, "beta2_decay", spec.beta2_decay);
    fill(table, "min_rms", spec.min_rms);
    fill(table, "clip_rms", spec.clip_rms);
  } else {
    fill(table, "betas", toml::array{spec.betas[0], spec.betas[1]});
  }
}

void fill_train(toml::table& table, const TrainSpec& train) {
  fill(table, "batch_size", train.batch_size);
  fill(table, "accumulate", train.accumulate);
  fill(table, "seed", static_cast<int64_t>(train.seed));
  fill(table, "save_dtype", std::string(name_of(train.save_dtype)));
  fill(table, "checkpoint_every", train.checkpoint_every);
  fill(table, "keep_checkpoints", train.keep_checkpoints);
  fill(table, "validate_every", train.validate_every);
  fill(table, "teacher_weights", std::string(train.teacher_mapped ? "mapped" : "packed"));
  fill_optimizer(table_at(table, "optimizer"), train.optimizer);
  toml::table& lr = table_at(table, "lr_schedule");
  fill(lr, "use", train.lr_schedule.use);
  fill(lr, "warmup", train.lr_schedule.warmup);
  if (train.lr_schedule.use == "cosine") fill(lr, "final_share", train.lr_schedule.final_share);
  fill(lr, "per", std::string(train.lr_schedule.per_stage ? "stage" : "run"));
}

}  // namespace

std::string resolved_text(const Recipe& recipe) {
  toml::table root = *recipe.root;
  if (recipe.data.source == "cache") {
    toml::table& data = table_at(root, "data");
    fill(data, "validation_rows", recipe.data.validation_rows);
    fill(data, "caption_dropout", recipe.data.caption_dropout);
    fill(data, "shuffle", recipe.data.shuffle);
  }
  toml::table& diffusion = table_at(root, "diffusion");
  fill(diffusion, "prediction_type", std::string(recipe.predicts_v ? "v_prediction" : "epsilon"));
  fill(diffusion, "schedule", recipe.schedule.name);
  if (recipe.schedule.name != "squaredcos_cap_v2") {
    fill(diffusion, "beta_start", recipe.schedule.beta_start);
    fill(diffusion, "beta_end", recipe.schedule.beta_end);
  }
  fill_train(table_at(root, "train"), recipe.train);
  const auto fill_loss = [](toml::table& loss) { fill(loss, "weight", 1.0); };
  if (toml::array* losses = root["loss"].as_array())
    for (toml::node& loss : *losses) fill_loss(*loss.as_table());
  if (toml::array* stages = root["stage"].as_array())
    for (size_t i = 0; i < stages->size(); ++i) {
      toml::table& stage = *stages->get(i)->as_table();
      fill(stage, "steps", recipe.stages[i].steps);
      if (recipe.stages[i].until) fill(stage, "on_fail", std::string("rollback"));
    }
  std::ostringstream out;
  out << toml::toml_formatter(root) << "\n";
  return out.str();
}

}  // namespace espalier::train
