#include "plugins/manifest.h"

#include <espalier/plugin.h>
#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "core/base/text.h"
#include "plugins/elf.h"
#include "plugins/loader.h"

namespace espalier::plugins {
namespace {

bool number(const std::string& text, uint32_t& to) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), to);
  return fault == std::errc() && end == text.data() + text.size();
}

}  // namespace

Manifest parse_manifest(const std::string& text) {
  Manifest made;
  if (text.empty()) return made;
  made.present = true;
  std::istringstream lines(text);
  std::string line;
  for (int n = 0; std::getline(lines, line); ++n) {
    const size_t space = line.find(' ');
    const std::string key = line.substr(0, space), value = space == std::string::npos ? "" : line.substr(space + 1);
    bool good = true;
    if (n == 0) {
      good = line == "espalier-plugin 1";
    } else if (key == "abi") {
      const size_t dot = value.find('.');
      good = dot != std::string::npos && number(value.substr(0, dot), made.abi_major) &&
             number(value.substr(dot + 1), made.abi_minor);
    } else if (key == "opset") {
      good = number(value, made.opset);
    } else if (key == "component") {
      const size_t gap = value.find(' ');
      good = gap != std::string::npos;
      if (good) made.components.emplace_back(value.substr(0, gap), value.substr(gap + 1));
    } else if (key == "sanitizer") {
      made.sanitizer = value;
    } else if (key == "id") {
      made.id = value;
    } else if (key == "version") {
      made.version = value;
    } else if (key == "vendor") {
      made.vendor = value;
    } else if (key == "license") {
      made.license = value;
    }
    if (!good) {
      made.problem = "its manifest has the line '" + printable(line, 80) + "', which is none of format 1";
      return made;
    }
  }
  return made;
}

std::string manifest_fault(const Manifest& manifest) {
  if (!manifest.present) return "";
  if (!manifest.problem.empty()) return manifest.problem;
  if (manifest.sanitizer == "address" && !host_has_asan())
    return "built with AddressSanitizer, this espalier is not; rebuild it with the same preset";
  if (manifest.sanitizer == "thread" && !host_has_tsan())
    return "built with ThreadSanitizer, this espalier is not; rebuild it with the same preset";
  if (std::string fault = abi_fault(manifest.abi_major, manifest.abi_minor, 0); !fault.empty()) return fault;
  if (manifest.opset > ESP_OPSET)
    return fmt::format("needs op set {}, this host has {}; update the host", manifest.opset, int{ESP_OPSET});
  return "";
}

std::string manifest_differs(const Manifest& manifest, const Verdict& verdict) {
  if (!manifest.present) return "";
  const auto differ = [](const char* what, const std::string& said, const std::string& is) {
    return fmt::format("its manifest says {} '{}', its entry point '{}'; build it anew from clean", what, printable(said), is);
  };
  if (manifest.id != verdict.id) return differ("id", manifest.id, verdict.id);
  if (manifest.version != verdict.version) return differ("version", manifest.version, verdict.version);
  if (manifest.vendor != verdict.vendor) return differ("vendor", manifest.vendor, verdict.vendor);
  if (manifest.license != verdict.license) return differ("license", manifest.license, verdict.license);
  std::vector<std::string> said, is;
  for (const auto& [kind, id] : manifest.components) said.push_back(kind + " " + id);
  for (const Component& component : verdict.components) is.push_back(component.kind + " " + component.id);
  if (said != is) return differ("components", join(said, ", "), join(is, ", "));
  return "";
}

}  // namespace espalier::plugins
