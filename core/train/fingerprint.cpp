#include "core/train/fingerprint.h"

#include <algorithm>

#include "core/base/sha256.h"
#include "core/io/safetensors.h"

namespace espalier::train {
namespace {

constexpr size_t kEnd = 64;  // bytes of either end

std::string of_tensors(const io::TensorSource& source) {
  std::string text;
  for (const std::string& name : source.names()) {
    const io::TensorRef tensor = source.get(name);
    text += name + " " + to_string(tensor.type) + "\n";
    const size_t count = std::min(kEnd, tensor.bytes.size());
    for (const std::span<const std::byte> part : {tensor.bytes.first(count), tensor.bytes.last(count)})
      text.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
  return sha256_hex(text);
}

std::string of_data(const DataSpec& data) {
  if (data.source == "cache") return sha256_of_file(data.path / "index.json") + sha256_of_file(data.path / "rows.jsonl");
  std::string hashes;
  for (const std::filesystem::path& file : data.files) hashes += of_tensors(*io::open_safetensors(file));
  return sha256_hex(hashes);
}

}  // namespace

std::string name_of_stage_teacher(size_t stage) { return "the teacher of stage " + std::to_string(stage); }

std::string name_of_program(size_t stage) { return "the program that prunes in stage " + std::to_string(stage); }
std::string name_of_loss_text(size_t loss) { return "the text of loss " + std::to_string(loss); }

std::map<std::string, std::string> fingerprints_of(const Recipe& recipe, const Models& models) {
  std::map<std::string, std::string> prints{{"data", of_data(recipe.data)}};
  if (models.teacher && models.teacher->weights) prints["teacher"] = of_tensors(*models.teacher->weights);
  if (models.student && models.student->weights) prints["student"] = of_tensors(*models.student->weights);
  for (size_t stage = 0; stage < recipe.stages.size(); ++stage) {
    if (!recipe.stages[stage].teacher) continue;
    const std::optional<model::Model> teacher = teacher_of(recipe, models, stage);
    if (teacher && teacher->weights) prints[name_of_stage_teacher(stage)] = of_tensors(*teacher->weights);
  }
  for (size_t i = 0; i < recipe.losses.size(); ++i)
    if (const auto& file = recipe.losses[i].plugin.file; !file.empty()) prints[name_of_loss_text(i)] = sha256_of_file(file);
  for (size_t i = 0; i < recipe.stages.size(); ++i)
    if (recipe.stages[i].prune && !recipe.stages[i].prune->file.empty())
      prints[name_of_program(i)] = sha256_of_file(recipe.stages[i].prune->file);
  return prints;
}

}  // namespace espalier::train
