#include "core/prune/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"
#include "core/model/key_map.h"

namespace espalier::prune {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCheckpointPrefix = "model.diffusion_model.";

/// One tensor on its way: where it comes from, and its new name and type.
struct Move {
  io::TensorSourcePtr source;  // shared with the model that it belongs to
  std::string from;
  io::TensorDecl to;
};

void require_weights(const model::Model& model) {
  if (!model.has_weights())
    throw UserError(
        fmt::format("{}: a config alone has no weights to export; give a model folder or a checkpoint", model.path.string()));
}

TensorType retyped(TensorType type, DType dtype) {
  if (dtype != DType::kNone && is_floating(type.dtype)) type.dtype = dtype;
  return type;
}

/// f16 ends at 65504: a larger weight would become infinite without a word. Infinities of the source stay what they are.
void require_fits_f16(const std::string& name, const io::TensorRef& tensor) {
  constexpr float kLargest = 65520;  // rounds to infinity from here on
  io::convert_chunks(tensor, DType::kF32, [&](std::span<const std::byte> part) {
    for (size_t at = 0; at < part.size(); at += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, part.data() + at, sizeof value);
      if (std::isfinite(value) && std::abs(value) >= kLargest)
        throw UserError(fmt::format("tensor '{}' holds {}, f16 ends at 65504; export it as bf16 or f32", name, value));
    }
  });
}

void write_moves(const fs::path& file, const std::vector<Move>& moves, const std::map<std::string, std::string>& metadata,
                 const WriteProgress& progress, ExportReport& report) {
  std::vector<io::TensorDecl> decls;
  for (const Move& move : moves) {
    decls.push_back(move.to);
    report.bytes += move.to.bytes();
  }
  report.tensors = moves.size();
  io::SafetensorsWriter writer(file, decls, metadata, Existing::kRefuse);
  uint64_t done = 0;
  for (const Move& move : moves) {
    check_interrupt();
    if (move.to.raw_dtype.empty()) {
      const io::TensorRef tensor = move.source->get(move.from);
      if (move.to.type.dtype == DType::kF16 && tensor.type.dtype != DType::kF16) require_fits_f16(move.from, tensor);
      writer.write(move.to.name, tensor);
    } else {
      writer.pass_on(move.to.name, move.source->raw(move.from));
    }
    move.source->drop_pages(move.from);
    done += move.to.bytes();
    if (progress) progress(done, report.bytes);
  }
  writer.finish();
}

std::vector<Move> unet_moves(const model::Model& model, DType dtype) {
  std::vector<Move> moves;
  for (const model::TensorSpec& spec : model::tensor_specs(model.tree))
    moves.push_back({model.weights, spec.name, {spec.name, retyped(model.weights->get(spec.name).type, dtype)}});
  return moves;
}

/// The tensors of the checkpoint that are not the UNet's: from the checkpoint itself, or as `prune` laid them aside.
void add_rest(const model::Model& model, std::vector<Move>& moves, ExportReport& report) {
  const auto add = [&](const io::TensorSourcePtr& source, const std::vector<std::string>& names) {
    for (const std::string& name : names) moves.push_back({source, name, io::passed_on(name, source->raw(name))});
  };
  if (model.layout == model::ModelLayout::kSingleFile) add(model.file, model.rest.tensors);
  const bool laid_aside =
      std::find(model.rest.files.begin(), model.rest.files.end(), fs::path(kRestFile)) != model.rest.files.end();
  if (laid_aside) {
    const io::TensorSourcePtr rest = io::open_safetensors(model.rest.root / kRestFile);
    add(rest, rest->names());
  }
  const bool other_modules =
      std::any_of(model.rest.files.begin(), model.rest.files.end(), [](const fs::path& file) { return file.has_parent_path(); });
  if (!laid_aside && other_modules)
    report.notes.push_back(
        "the text encoders and the VAE of a diffusers pipeline are not converted; the file holds the UNet alone");
}

}  // namespace

ExportReport export_diffusers(const model::Model& model, const fs::path& out, DType dtype, const WriteProgress& progress) {
  require_weights(model);
  const InterruptGuard guard;
  ExportReport report;
  const std::vector<Move> moves = unet_moves(model, dtype);
  const bool pipeline = model.layout == model::ModelLayout::kPipelineFolder;
  uint64_t bytes = pipeline ? bytes_beside_unet(model) : 0;
  for (const Move& move : moves) bytes += move.to.bytes();
  AtomicFolder folder(out, bytes);
  const fs::path unet = pipeline ? folder.path() / "unet" : folder.path();
  fs::create_directories(unet);
  write_text(unet / "config.json", model::write_config(model.tree.config));
  write_moves(unet / "diffusion_pytorch_model.safetensors", moves, {{"format", "pt"}}, progress, report);
  if (pipeline) copy_beside_unet(model, folder.path(), {});
  if (!model.rest.tensors.empty())
    report.notes.push_back(fmt::format(
        "{} tensors of the checkpoint are not the UNet's and are not converted; export --as single-file passes them through",
        model.rest.tensors.size()));
  folder.publish();
  return report;
}

ExportReport export_single_file(const model::Model& model, const fs::path& out, DType dtype, const WriteProgress& progress) {
  require_weights(model);
  const InterruptGuard guard;
  ExportReport report;
  std::vector<Move> moves;
  const model::KeyMap names(model.tree);
  for (const auto& [diffusers, original] : names.rows())
    moves.push_back({model.weights,
                     diffusers,
                     {std::string(kCheckpointPrefix) + original, retyped(model.weights->get(diffusers).type, dtype)}});
  add_rest(model, moves, report);
  write_moves(out, moves, {{"format", "pt"}, {model::kConfigMetadataKey, model::write_config(model.tree.config)}}, progress,
              report);
  return report;
}

}  // namespace espalier::prune
