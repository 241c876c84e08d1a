#pragma once
// What can be known of a shared library without running any of its code.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace espalier::plugins {

struct ElfFacts {
  std::string problem;  // why it must not be loaded; empty when it may
  uint64_t file_bytes = 0;
  std::vector<std::string> needed;    // names of the libraries that it links
  std::string manifest;               // text of the section .esp_manifest; "" without one
  std::vector<std::string> exported;  // names of the dynamic symbols that it defines
  std::vector<std::string> unique;    // those of them that are unique in the process (GNU), which pin the library
  bool executable_stack = false;
  std::string run_path;  // DT_RPATH or DT_RUNPATH
};

/// Reads headers, program headers and the dynamic section of `file`. Refuses what the system's loader would crash on or
/// answer unclearly: not a regular file, not ELF, another machine, truncated, writable by anyone, linked with a
/// sanitizer's library that this process does not have (the process would end inside the loader).
/// Errors: none, `problem` says it. Cost: a few reads.
ElfFacts examine_library(const std::filesystem::path& file);

/// Whether this process was built with AddressSanitizer, with ThreadSanitizer.
bool host_has_asan();
bool host_has_tsan();

}  // namespace espalier::plugins
