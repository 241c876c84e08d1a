#include "core/train/open_data.h"

#include <fmt/format.h>

#include <string_view>

#include "core/base/error.h"
#include "core/data/cache_source.h"
#include "core/data/tensors.h"

namespace espalier::train {
namespace {

void check_fits(const std::string& data_name, const data::BatchShape& data, const model::Model& model, std::string_view what,
                ErrorList& errors) {
  const model::UNetConfig& config = model.config;
  const auto differ = [&](std::string_view quantity, int64_t of_data, int64_t of_model) {
    if (of_data != of_model)
      errors.add(fmt::format("[{}] the data has {} {}, the {} takes {} ({}); they do not go together", data_name, of_data,
                             quantity, what, of_model, model.path.string()));
  };
  differ("channels of latents", data.channels, config.in_channels);
  if (config.out_channels != config.in_channels) differ("channels of latents to predict", data.channels, config.out_channels);
  for (const int64_t width : config.cross_attention_dim) {
    differ("as the width of encoder_hidden_states (cross_attention_dim)", data.embedding, width);
    if (width != data.embedding) break;
  }
  if (config.has_text_time())
    differ("as the width of text_embeds", data.pooled,
           config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim);
}

}  // namespace

std::unique_ptr<data::Source> open_data(const Recipe& recipe) {
  const DataSpec& spec = recipe.data;
  if (spec.source == "tensors") return data::open_tensors(spec.files, recipe.train.batch_size);
  return data::open_cache({.folder = spec.path,
                           .batch_size = recipe.train.batch_size,
                           .seed = recipe.train.seed,
                           .validation_rows = spec.validation_rows,
                           .caption_dropout = spec.caption_dropout,
                           .shuffle = spec.shuffle,
                           .timesteps = recipe.schedule.steps});
}

void check_data_fits(const Recipe& recipe, const Models& models, const data::Source& source) {
  const DataSpec& spec = recipe.data;
  const std::string name = (spec.source == "tensors" ? spec.files.front() : spec.path).string();
  const data::BatchShape& shape = source.buckets().front();  // buckets differ in the size of pictures alone
  ErrorList errors;
  if (models.teacher) check_fits(name, shape, *models.teacher, "teacher", errors);
  if (models.student) check_fits(name, shape, *models.student, "student", errors);
  errors.throw_if_any();
}

}  // namespace espalier::train
