// Headers are opened, never tensor bytes. Whatever the layout, the checked names are those of the file, so that a message
// names what a person can find there.

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/io/json_reader.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/model/key_map.h"
#include "core/model/model.h"
#include "core/model/random_weights.h"

namespace espalier::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCheckpointPrefix = "model.diffusion_model.";
constexpr size_t kShownFaults = 20;

/// A tensor that the structure has, under its name in the file.
struct Wanted {
  std::string name;
  const TensorSpec* spec;
};

/// Collects tensor faults: the first ones by name, all by count.
class TensorFaults {
 public:
  explicit TensorFaults(std::string file) : file_(std::move(file)) {}
  void missing(const std::string& name, const Shape& shape) {
    ++missing_;
    add(fmt::format("{}: tensor '{}' {} is missing", file_, name, to_string(shape)));
  }
  void unexpected(const std::string& name) {
    ++unexpected_;
    add(fmt::format("{}: tensor '{}' is not part of the structure that the config describes", file_, printable(name)));
  }
  void misshaped(const std::string& name, const Shape& is, const Shape& want) {
    ++misshaped_;
    add(fmt::format("{}: tensor '{}' has shape {}, the config asks for {}", file_, name, to_string(is), to_string(want)));
  }
  void mistyped(std::string message) {
    ++mistyped_;
    add(std::move(message));
  }
  void throw_if_any() {
    const size_t all = missing_ + unexpected_ + misshaped_ + mistyped_;
    if (all > kShownFaults)
      shown_.add(fmt::format("{}: … and {} more; in all {} missing, {} unexpected, {} of another shape, {} of another type",
                             file_, all - kShownFaults, missing_, unexpected_, misshaped_, mistyped_));
    shown_.throw_if_any();
  }

 private:
  void add(std::string message) {
    if (shown_.messages().size() < kShownFaults) shown_.add(std::move(message));
  }
  std::string file_;
  ErrorList shown_;
  size_t missing_ = 0, unexpected_ = 0, misshaped_ = 0, mistyped_ = 0;
};

void check_tensors(const io::TensorSource& source, const std::vector<Wanted>& wanted, const std::vector<std::string>& present) {
  TensorFaults faults(source.describe());
  std::unordered_set<std::string_view> known;
  for (const Wanted& want : wanted) {
    known.insert(want.name);
    if (!source.contains(want.name)) {
      faults.missing(want.name, want.spec->shape);
      continue;
    }
    TensorType type;
    try {
      type = source.get(want.name).type;
    } catch (const UserError& error) {  // an element type that espalier does not know
      faults.mistyped(error.what());
      continue;
    }
    if (type.shape != want.spec->shape) faults.misshaped(want.name, type.shape, want.spec->shape);
    if (type.dtype != DType::kF32 && type.dtype != DType::kF16 && type.dtype != DType::kBF16)
      faults.mistyped(
          fmt::format("{}: tensor '{}' is {}; weights are f32, f16 or bf16", source.describe(), want.name, name_of(type.dtype)));
  }
  for (const std::string& name : present)
    if (known.count(name) == 0) faults.unexpected(name);
  faults.throw_if_any();
}

/// The files of a pipeline outside unet/. Version-control and cache folders are not part of a model.
RestOfPipeline rest_of_folder(const fs::path& root, std::vector<std::string>& notes) {
  RestOfPipeline rest{root, {}, {}};
  for (auto it = fs::recursive_directory_iterator(root, fs::directory_options::follow_directory_symlink);
       it != fs::recursive_directory_iterator(); ++it) {
    const fs::path relative = it->path().lexically_relative(root);
    const std::string first = relative.begin()->string();
    if (it.depth() == 0 && it->is_directory() && (first == "unet" || first == ".git" || first == ".cache")) {
      it.disable_recursion_pending();
      continue;
    }
    if (it.depth() > 16)
      throw UserError(it->path().string() + ": folders are nested too deep for a pipeline (a link in a circle?)");
    if (it->is_regular_file())
      rest.files.push_back(relative);
    else if (!it->is_directory())
      notes.push_back(fmt::format("{}: {}, so a student goes without it", it->path().string(),
                                  it->exists() ? "is not a regular file" : "is a link to nothing"));
  }
  std::sort(rest.files.begin(), rest.files.end());
  return rest;
}

bool holds_weights(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    for (const char* ending : {".safetensors", ".safetensors.index.json", ".safetensors.index.fp16.json", ".bin", ".ckpt", ".pt"})
      if (name.ends_with(ending)) return true;
  }
  return false;
}

void load_folder(const fs::path& folder, const LoadOptions& options, Model& model) {
  model.config = read_config(folder / "config.json");
  model.tree = build_tree(model.config);
  if (!holds_weights(folder)) {
    if (!options.random_weights) model.notes.push_back(folder.string() + " holds no weights: structure only");
    return;
  }
  model.weights = io::open_weights(folder, {.allow_large_header = options.large_headers, .notes = &model.notes});
  const std::vector<TensorSpec> specs = tensor_specs(model.tree);
  std::vector<Wanted> wanted;
  for (const TensorSpec& spec : specs) wanted.push_back({spec.name, &spec});
  check_tensors(*model.weights, wanted, model.weights->names());
}

/// The config beside a checkpoint: NAME.json, where it is one (other tools write other things under that name).
std::optional<UNetConfig> config_beside(const fs::path& file, Model& model) {
  const fs::path beside = fs::path(file).replace_extension(".json");
  if (!fs::is_regular_file(beside)) return std::nullopt;
  const std::string text = read_text(beside);
  const io::JsonValue json = io::parse_json(text, beside.string());
  if (json.find("_class_name") == nullptr) {
    model.notes.push_back(beside.string() + " has no \"_class_name\", so it is not read as a UNet config");
    return std::nullopt;
  }
  model.notes.push_back("config read from " + beside.string());
  return parse_config(text, beside.string());
}

UNetConfig config_of_file(const fs::path& file, const LoadOptions& options, Model& model) {
  if (auto config = config_beside(file, model)) return *std::move(config);
  const auto metadata = io::read_metadata(file, {.allow_large_header = options.large_headers});
  if (const auto found = metadata.find(kConfigMetadataKey); found != metadata.end()) {
    model.notes.push_back("config read from the file's metadata");
    return parse_config(found->second, file.string() + " (metadata " + kConfigMetadataKey + ")");
  }
  model.notes.push_back("config read from the shapes of the tensors");
  return infer_config(*model.file, model.unet_prefix);
}

void load_single_file(const fs::path& file, const LoadOptions& options, Model& model) {
  model.file = io::open_safetensors(file, {.allow_large_header = options.large_headers, .notes = &model.notes});
  const std::string first = "input_blocks.0.0.weight";
  if (model.file->contains(kCheckpointPrefix + first))
    model.unet_prefix = kCheckpointPrefix;
  else if (model.file->contains("conv_in.weight"))
    throw UserError(fmt::format("{}: a file with diffusers names needs its config; give the folder that holds it and config.json",
                                file.string()));
  else if (!model.file->contains(first))
    throw UserError(fmt::format("{}: no UNet with the original names in it (no tensor '{}{}' or '{}')", file.string(),
                                kCheckpointPrefix, first, first));
  model.config = config_of_file(file, options, model);
  model.tree = build_tree(model.config);
  const std::vector<TensorSpec> specs = tensor_specs(model.tree);
  const KeyMap keys(model.tree);
  std::vector<Wanted> wanted;
  std::vector<std::pair<std::string, std::string>> renames;
  for (size_t i = 0; i < specs.size(); ++i) {
    wanted.push_back({model.unet_prefix + keys.rows()[i].second, &specs[i]});
    renames.emplace_back(specs[i].name, wanted.back().name);
  }
  std::vector<std::string> present;
  for (const std::string& name : model.file->names())
    (name.starts_with(model.unet_prefix) ? present : model.rest.tensors).push_back(name);
  if (!model.rest.tensors.empty()) model.rest.root = file;
  check_tensors(*model.file, wanted, present);
  model.weights = std::make_shared<const io::RenamedTensorSource>(model.file, std::move(renames));
}

void load_any(const fs::path& path, const LoadOptions& options, Model& model) {
  const fs::file_status status = fs::status(path);
  if (!fs::exists(status)) throw UserError(path.string() + ": no such file or folder");
  if (fs::is_directory(status)) {
    if (fs::is_directory(path / "unet")) {
      model.layout = ModelLayout::kPipelineFolder;
      if (!fs::exists(path / "unet" / "config.json"))
        throw UserError((path / "unet").string() + ": no config.json in it; a UNet folder has config.json beside its weights");
      load_folder(path / "unet", options, model);
      model.rest = rest_of_folder(path, model.notes);
    } else if (fs::exists(path / "config.json")) {
      model.layout = ModelLayout::kUNetFolder;
      load_folder(path, options, model);
    } else {
      throw UserError(path.string() + ": neither config.json (a UNet folder) nor unet/ (a pipeline folder) in it");
    }
  } else if (!fs::is_regular_file(status)) {
    throw UserError(path.string() + ": is not a regular file");
  } else if (path.filename().string().ends_with(".safetensors.index.json")) {
    throw UserError(path.string() + ": is a list of weight files; give the folder that holds it and config.json");
  } else if (path.extension() == ".json") {
    model.layout = ModelLayout::kConfigOnly;
    model.config = read_config(path);
    model.tree = build_tree(model.config);
  } else {
    model.layout = ModelLayout::kSingleFile;
    load_single_file(path, options, model);
  }
}

}  // namespace

Model load_model(const fs::path& path, const LoadOptions& options) {
  Model model;
  model.path = path;
  try {
    load_any(path, options, model);
  } catch (const fs::filesystem_error& error) {
    throw UserError(fmt::format("{}: {}", error.path1().string(), error.code().message()));
  }
  if (options.random_weights) {
    if (model.has_weights())
      throw UserError(fmt::format("{}: it has weights; random ones are for a config alone", path.string()));
    model.weights = random_weights(model.tree, *options.random_weights);
  }
  return model;
}

}  // namespace espalier::model
