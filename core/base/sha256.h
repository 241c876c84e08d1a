#pragma once
// SHA-256 over libcrypto: structure hashes, manifests, byte-equality of files.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace espalier {

/// Incremental hash: `update` any number of times, then `hex` once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// 64 lower-case hex digits.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 64 lower-case hex digits of `text` or of a file's bytes. Errors: UserError when the file cannot be read.
std::string sha256_hex(std::string_view text);
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace espalier
