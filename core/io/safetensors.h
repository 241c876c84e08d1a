#pragma once
// Reading weights: one safetensors file, a sharded set, or a folder that holds either. Files are mapped.
//
// Strict: a file that the format's README forbids, or that could surprise a reader, is refused at open with one
// sentence that names file, tensor and byte. Not guarded: a file that another process truncates while it is mapped.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/io/tensor_source.h"

namespace espalier::io {

struct OpenOptions {
  bool allow_large_header = false;            // headers over 16 MB, up to the format's own limit of 100 MB
  bool strict = false;                        // notes become errors
  std::vector<std::string>* notes = nullptr;  // what a user should know although the file is accepted
};

/// Opens one file.
///
/// Guarantees: every tensor's bytes lie inside the file and are aligned to its element size; tensors of a type that
/// espalier does not compute with (I16, F8_E4M3, …) are listed, and `get` refuses them by name.
/// Errors: UserError. Cost: reads the header only.
TensorSourcePtr open_safetensors(const std::filesystem::path& file, const OpenOptions& options = {});

/// Opens `*.safetensors.index.json` and all shards that it names (beside it, no links out of its folder) as one source.
TensorSourcePtr open_sharded(const std::filesystem::path& index, const OpenOptions& options = {});

/// Opens the weights of a model folder, a file, or an index. In a folder the first of these wins, the others are noted:
/// `<stem>.safetensors`, `<stem>.safetensors.index.json`, `<stem>.fp16.safetensors`, `<stem>.fp16.safetensors.index.json`
/// (also spelt `<stem>.safetensors.index.fp16.json`).
/// Errors: UserError when there is none, with what to do when only pickled weights (.bin, .ckpt) are there.
TensorSourcePtr open_weights(const std::filesystem::path& folder_or_file, const OpenOptions& options = {},
                             const std::string& stem = "diffusion_pytorch_model");

/// `__metadata__` of one file, in key order.
std::map<std::string, std::string> read_metadata(const std::filesystem::path& file, const OpenOptions& options = {});

}  // namespace espalier::io
