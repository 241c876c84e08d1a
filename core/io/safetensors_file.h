#pragma once
// One mapped safetensors file. What a TensorSource does not say (metadata, types not computed with, sizes) is here.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/io/safetensors.h"
#include "core/io/safetensors_header.h"

namespace espalier::io {

class SafetensorsFile final : public TensorSource {
 public:
  /// With a `root`, refuses a file that lies outside it once links are followed (checked on the opened file, so that a
  /// link swapped in between does not help).
  SafetensorsFile(const std::filesystem::path& path, const OpenOptions& options, const std::filesystem::path& root = {});
  ~SafetensorsFile() override;
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return header_->index.count(name) != 0; }
  std::string describe() const override { return name_; }
  TensorRef get(std::string_view name) const override;
  RawTensor raw(std::string_view name) const override;
  void drop_pages(std::string_view name) const override;

  const Header& header() const { return *header_; }
  /// Of all tensors together.
  uint64_t data_bytes() const { return map_bytes_ == 0 ? 0 : map_bytes_ - data_begin_; }

 private:
  const HeaderEntry& find(std::string_view name) const;
  std::span<const std::byte> aligned_copy(std::string_view name, std::span<const std::byte> bytes) const;

  std::string name_;
  std::unique_ptr<Header> header_;
  std::vector<std::string> names_;
  uint64_t data_begin_ = 0, map_bytes_ = 0;
  std::byte* map_ = nullptr;
  mutable std::mutex copies_mutex_;
  mutable std::unordered_map<std::string, std::vector<std::byte>> copies_;
};

/// Whether `path` is `root` or below it; both canonical.
bool is_inside(const std::filesystem::path& path, const std::filesystem::path& root);

}  // namespace espalier::io
