#pragma once
// One candidate file → a verdict, and where it is ok, the components that it offers. Libraries are never unloaded.

#include <espalier/plugin.h>

#include <filesystem>
#include <string>
#include <vector>

#include "plugins/params.h"
#include "plugins/search.h"

namespace espalier::plugins {

/// One component of an accepted plugin.
struct Component {
  std::string kind, id, doc;
  std::vector<ParamSpec> params;
  const void* vtable = nullptr;
  bool known_kind = false;  // false: listed, never used
  std::filesystem::path file;
  std::string plugin_id, plugin_version;
};

/// What became of one file. Every candidate has one.
struct Verdict {
  std::filesystem::path file;
  std::string origin;  // of the search place
  bool named = false;  // by --plugin
  bool ok = false;
  std::string reason;  // when refused
  uint64_t file_bytes = 0;
  std::string id, version, vendor, license;  // as far as the plugin could be read
  std::vector<Component> components;
  const esp_plugin* plugin = nullptr;
};

/// Checks the file and its manifest, loads it (all symbols bound, local scope), asks `esp_plugin_query_v0`, checks the answer
/// field by field and against the manifest, and calls nothing else. Errors: none, the verdict says it. A library that was loaded
/// stays loaded.
Verdict load(const Candidate& candidate);

/// What speaks against a plugin of this ABI; "" when the host takes it.
std::string abi_fault(uint32_t major, uint32_t minor, uint32_t need_minor);

/// The checks of `load` on what the query returned; for tests and the validator. Fills `verdict`.
void examine_plugin(const esp_plugin* plugin, Verdict& verdict);

}  // namespace espalier::plugins
