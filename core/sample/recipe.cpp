#include "core/sample/recipe.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "core/exec/border.h"
#include "core/io/safetensors_writer.h"

namespace espalier::sample {
namespace {

using nlohmann::ordered_json;

std::string text_of(const ordered_json& json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

}  // namespace

std::string recipe_line(const Recipe& recipe) {
  return fmt::format("{}, {} steps, {}guidance {:g}, seed {}, {}, {}", recipe.sampler, recipe.steps,
                     recipe.eta != 0 ? fmt::format("eta {:g}, ", recipe.eta) : "", recipe.guidance, recipe.seed,
                     name_of(recipe.scheduler.prediction), recipe.scheduler.noise.name);
}

std::string recipe_json(const Recipe& recipe, const data::Cache& cache, std::span<const size_t> rows) {
  ordered_json json = {{"program", recipe.program},   {"model", recipe.model},       {"cache", cache.folder().string()},
                       {"codec", cache.info().codec}, {"sampler", recipe.sampler},   {"steps", recipe.steps},
                       {"eta", recipe.eta},           {"guidance", recipe.guidance}, {"seed", recipe.seed}};
  if (recipe.random_weights) json["random_weights"] = *recipe.random_weights;
  json["scheduler"] = ordered_json::parse(scheduler_config_text(recipe.scheduler, recipe.sampler));
  json["columns"] = recipe.columns;
  json["scale"] = recipe.scale;
  for (const size_t row : rows)
    json["rows"].push_back({{"index", row}, {"id", cache.rows()[row].id}, {"caption", cache.rows()[row].caption}});
  return text_of(json);
}

void write_latents(const std::filesystem::path& file, const data::Cache& cache, std::span<const size_t> rows,
                   std::span<const exec::FloatTensor> latents, const std::string& recipe) {
  std::map<std::string, std::vector<size_t>> of_size;
  for (size_t i = 0; i < latents.size(); ++i)
    of_size[fmt::format("latents.{}x{}", latents[i].shape[1], latents[i].shape[2])].push_back(i);
  if (of_size.size() == 1) of_size = {{"latents", of_size.begin()->second}};
  std::vector<io::TensorDecl> declared;
  std::map<std::string, std::string> metadata{{kRecipeKey, recipe}};
  for (const auto& [name, places] : of_size) {
    const Shape& one = latents[places.front()].shape;
    declared.push_back({name, f32(Shape{static_cast<int64_t>(places.size()), one[3], one[1], one[2]})});
    ordered_json ids = ordered_json::array();
    for (const size_t place : places) ids.push_back(cache.rows()[rows[place]].id);
    metadata[name + ".ids"] = text_of(ids);
  }
  io::SafetensorsWriter writer(file, declared, metadata);
  for (const io::TensorDecl& tensor : declared) {
    std::vector<float> values;
    for (const size_t place : of_size.at(tensor.name)) {
      const exec::FloatTensor image = exec::nhwc_to_nchw(latents[place]);
      values.insert(values.end(), image.values.begin(), image.values.end());
    }
    writer.write(tensor.name, {tensor.type, std::as_bytes(std::span(values))});
  }
  writer.finish();
}

}  // namespace espalier::sample
