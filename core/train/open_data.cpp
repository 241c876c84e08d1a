#include "core/train/open_data.h"

#include "core/data/cache_source.h"
#include "core/data/tensors.h"

namespace espalier::train {

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

}  // namespace espalier::train
