#pragma once
// A model of full size that takes no room on disk: its weights are a hole in the file, all zeros.

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/model/model.h"

namespace espalier::testing {

/// A UNet folder with the structure of `config`, tensors as f16.
inline void write_sparse_model(const std::filesystem::path& folder, const std::filesystem::path& config) {
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(config, folder / "config.json");
  nlohmann::ordered_json header;
  int64_t offset = 0;
  for (const model::TensorSpec& spec : model::tensor_specs(model::load_model(config).tree)) {
    const int64_t bytes = 2 * spec.shape.elements();
    header[spec.name] = {{"dtype", "F16"}, {"shape", spec.shape.dims()}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  const std::filesystem::path file = folder / "diffusion_pytorch_model.safetensors";
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out << text;
  out.close();
  std::filesystem::resize_file(file, sizeof length + length + static_cast<uint64_t>(offset));
}

}  // namespace espalier::testing
