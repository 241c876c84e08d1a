#pragma once
// A MODEL argument of the command line: a diffusers folder (UNet or pipeline), a single-file checkpoint with the original
// names, or a lone config.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/io/tensor_source.h"
#include "core/model/block_tree.h"

namespace espalier::model {

enum class ModelLayout { kUNetFolder, kPipelineFolder, kSingleFile, kConfigOnly };

/// What a model brings along that is not its UNet and passes through a pruning untouched.
struct RestOfPipeline {
  std::filesystem::path root;                // the pipeline folder, or the checkpoint file; empty when there is no rest
  std::vector<std::filesystem::path> files;  // of a folder: every file outside unet/, relative to root, sorted
  std::vector<std::string> tensors;          // of a checkpoint: names of its other tensors (text encoders, VAE, …), file order
  bool empty() const { return files.empty() && tensors.empty(); }
};

struct Model {
  std::filesystem::path path;  // as given
  ModelLayout layout = ModelLayout::kConfigOnly;
  UNetConfig config;
  BlockTree tree;
  io::TensorSourcePtr weights;  // diffusers names whatever the file has; null on a lone config without a seed
  RestOfPipeline rest;
  std::string unet_prefix;         // of a single file: "model.diffusion_model.", or "" where it holds bare UNet names
  io::TensorSourcePtr file;        // of a single file: all of it under its own names; else null
  std::vector<std::string> notes;  // what a user should know: "read config from tensors", "metadata ignored", …
  bool has_weights() const { return weights != nullptr; }
};

struct LoadOptions {
  std::optional<uint64_t> random_weights;  // seed: a lone config gets deterministic random weights (f16-exact, made on first use)
  bool large_headers = false;              // safetensors headers over 16 MB
};

/// Metadata key under which a single file that espalier writes carries its config.json text, so that a structure whose
/// heads cannot be told from tensor shapes loads again.
inline constexpr const char* kConfigMetadataKey = "espalier.unet_config";

/// The config of a single-file checkpoint with original names, from the shapes of its tensors alone. `prefix` is that of
/// its UNet names. Errors: UserError where the shapes do not tell (heads of an unknown context width, …), naming what to
/// put beside the file.
UNetConfig infer_config(const io::TensorSource& file, std::string_view prefix);

/// Opens a model; maps weights, reads none. Every tensor is checked against the tree: missing, extra and mis-shaped
/// ones, and element types other than f32, f16 and bf16, are all reported by name in one UserError.
///
/// A single file takes its config from `NAME.json` beside it, else from its own metadata, else from its shapes.
/// Errors: UserError. Cost: reads headers only.
Model load_model(const std::filesystem::path& path, const LoadOptions& options = {});

/// What other programs would do with a model of this structure.
struct LoaderVerdict {
  std::string loader;  // "diffusers", "comfyui", "stable-diffusion.cpp"
  bool opens = false;
  std::string as;      // what it is recognised as: "SDXL", "SSD-1B", …
  std::string reason;  // when it does not open: why, and the nearest structure that would (see --pad)
};
std::vector<LoaderVerdict> loader_verdicts(const BlockTree& tree);

/// The nearest structure that `loader` accepts and that contains `tree`, with the added blocks marked padded.
/// Errors: UserError when there is none, with the reason.
BlockTree pad_for(const BlockTree& student, const BlockTree& teacher, const std::string& loader);

}  // namespace espalier::model
