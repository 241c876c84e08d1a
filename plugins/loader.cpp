#include "plugins/loader.h"

#define BOOST_DLL_USE_STD_FS
#include <boost/dll/shared_library.hpp>

#include "core/base/text.h"
#include "plugins/elf.h"
#include "plugins/host.h"
#include "plugins/manifest.h"

namespace espalier::plugins {
namespace {

// Handles are leaked on purpose: destructors of thread-locals, symbols that are unique across libraries, and threads of
// a plugin's own libraries all make dlclose unsafe (notes of glibc, dlclose(3)).
void keep_loaded(boost::dll::shared_library library) {
  static auto* const kept = new std::vector<boost::dll::shared_library>;
  kept->push_back(std::move(library));
}

// What dlerror said, out of Boost.DLL's frame around it, and without the file's name, which the verdict has already.
std::string loader_text(std::string text, const std::filesystem::path& file) {
  const std::string frame = "dlerror system message: ";
  if (const size_t begin = text.find(frame), end = text.rfind("): "); begin != std::string::npos && end != std::string::npos)
    text = text.substr(begin + frame.size(), end - begin - frame.size());
  for (const std::string& name : {file.string() + ": ", std::filesystem::absolute(file).string() + ": "})
    for (size_t at; (at = text.find(name)) != std::string::npos;) text.erase(at, name.size());
  return printable(text, 400);
}

}  // namespace

Verdict load(const Candidate& candidate) {
  Verdict verdict{candidate.file, candidate.origin, candidate.named};
  const auto refuse = [&](std::string why) {
    verdict.reason = std::move(why);
    return verdict;
  };
  const std::string name = candidate.file.filename().string();
  if (name.size() <= kSuffix.size() || name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) != 0)
    return refuse("its name does not end in .esp.so");
  const ElfFacts facts = examine_library(candidate.file);
  verdict.file_bytes = facts.file_bytes;
  if (!facts.problem.empty()) return refuse(facts.problem);
  const Manifest manifest = parse_manifest(facts.manifest);
  if (std::string fault = manifest_fault(manifest); !fault.empty()) return refuse(fault);

  esp_plugin_query_fn query = nullptr;
  try {
    boost::dll::shared_library library(std::filesystem::absolute(candidate.file),
                                       boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (library.has(ESP_QUERY_SYMBOL)) query = &library.get<const esp_plugin*(uint32_t, uint32_t)>(ESP_QUERY_SYMBOL);
    keep_loaded(std::move(library));
  } catch (const std::exception& error) {
    return refuse("the system's loader refused it: " + loader_text(error.what(), candidate.file));
  }
  if (query == nullptr) return refuse("it does not export " ESP_QUERY_SYMBOL);
  try {
    const esp_plugin* plugin = guarded(name, ESP_QUERY_SYMBOL, [&] { return query(ESP_ABI_MAJOR, ESP_ABI_MINOR); });
    if (plugin == nullptr)
      return refuse("it refuses this host (plugin ABI " + std::to_string(ESP_ABI_MAJOR) + "." + std::to_string(ESP_ABI_MINOR) +
                    ")");
    examine_plugin(plugin, verdict);
    if (verdict.ok)
      if (std::string fault = manifest_differs(manifest, verdict); !fault.empty()) {
        verdict.ok = false;
        verdict.components.clear();
        return refuse(fault);
      }
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
  return verdict;
}

}  // namespace espalier::plugins
