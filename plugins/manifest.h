#pragma once
// What a plugin's file says of itself without being run: the section .esp_manifest (espalier/plugin.h).

#include <string>
#include <utility>
#include <vector>

namespace espalier::plugins {

struct Verdict;

struct Manifest {
  bool present = false;
  std::string problem;  // of its text
  uint32_t abi_major = 0, abi_minor = 0, opset = 0;
  std::string sanitizer;  // "", "address", "thread"
  std::string id, version, vendor, license;
  std::vector<std::pair<std::string, std::string>> components;  // kind, id
};

/// Reads the text of the section; "" is no manifest. Keys that it does not know are left for later hosts.
Manifest parse_manifest(const std::string& text);
/// Why this host must not load the file; "" when nothing speaks against it.
std::string manifest_fault(const Manifest& manifest);
/// The first thing in which the manifest and what the entry point said differ; "" when they agree or there is none.
std::string manifest_differs(const Manifest& manifest, const Verdict& verdict);

}  // namespace espalier::plugins
