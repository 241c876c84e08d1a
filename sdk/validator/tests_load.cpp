// The file, before and after it is loaded.

#include <espalier/host.h>
#include <espalier/plugin.h>

#include <chrono>

#include "core/base/text.h"
#include "plugins/elf.h"
#include "plugins/host.h"
#include "plugins/manifest.h"
#include "plugins/services.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

constexpr double kSlow_ms = 100;

plugins::ElfFacts facts_of(const Subject& subject) {
  plugins::ElfFacts facts = plugins::examine_library(subject.file);
  if (!facts.problem.empty()) fail(facts.problem);
  return facts;
}

void one_symbol(const Subject& subject) {
  const plugins::ElfFacts facts = facts_of(subject);
  if (facts.exported == std::vector<std::string>{ESP_QUERY_SYMBOL}) return;
  std::vector<std::string> others;
  for (const std::string& name : facts.exported)
    if (name != ESP_QUERY_SYMBOL && others.size() < 5) others.push_back(name);
  if (others.empty()) fail("it does not export " ESP_QUERY_SYMBOL);
  fail("it exports " + std::to_string(facts.exported.size()) + " symbols, " + join(others, ", ") +
       " among them; build it with espalier_add_plugin, or with a version script that leaves " ESP_QUERY_SYMBOL " alone");
}

void no_unique(const Subject& subject) {
  const plugins::ElfFacts facts = facts_of(subject);
  if (!facts.unique.empty())
    fail("it has " + std::to_string(facts.unique.size()) + " symbols that are unique in a process, such as " +
         facts.unique.front() + ": two plugins would share them; build with -fvisibility=hidden -fno-gnu-unique");
}

void no_executable_stack(const Subject& subject) {
  if (facts_of(subject).executable_stack) fail("it asks for an executable stack; link with -Wl,-z,noexecstack");
}

void no_run_path(const Subject& subject) {
  const std::string path = facts_of(subject).run_path;
  if (!path.empty() && path.find("$ORIGIN") != 0)
    warn("it looks for libraries in " + printable(path, 200) + ", which is a place on the machine that built it");
}

void manifest(const Subject& subject) {
  const plugins::Manifest found = plugins::parse_manifest(facts_of(subject).manifest);
  if (!found.present) warn("it has no manifest, so that nothing is known of it before its code runs; see ESP_MANIFEST");
  if (!found.problem.empty()) fail(found.problem);
}

void loads_fast(const Subject& subject) {
  const auto begin = std::chrono::steady_clock::now();
  const plugins::Verdict verdict = plugins::load({subject.file, "", true});
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  if (ms > kSlow_ms && verdict.ok)
    warn("it takes " + std::to_string(static_cast<int>(ms)) + " ms to load; no work before it is asked for");
}

void query_twice(const Subject& subject) {
  const plugins::Verdict again = plugins::load({subject.file, "", true});
  if (again.plugin != subject.plugin->plugin) fail("its entry point gives another table at the second call");
}

/// With this host, for tests that follow in the same process.
void init_again(const Subject& subject) {
  if (subject.plugin->plugin->init != nullptr)
    plugins::checked(subject.plugin->id, "init", [&] { return subject.plugin->plugin->init(plugins::host_table()); });
}

void larger_host(const Subject& subject) {
  struct Larger {
    esp_host host;
    char more[64];
  };
  static Larger larger{*plugins::host_table(), {}};
  larger.host.struct_size = sizeof larger;
  larger.host.abi_minor = ESP_ABI_MINOR + 7;
  if (subject.plugin->plugin->init != nullptr)
    plugins::checked(subject.plugin->id, "init", [&] { return subject.plugin->plugin->init(&larger.host); });
  init_again(subject);
}

void init_without_services(const Subject& subject) {
  if (subject.plugin->plugin->init == nullptr) return;
  for (const char* id : {ESP_RNG_SERVICE, ESP_CANCEL_SERVICE}) {
    plugins::hide_service(id);
    try {
      plugins::checked(subject.plugin->id, "init", [&] { return subject.plugin->plugin->init(plugins::host_table()); });
    } catch (const std::exception& error) {
      plugins::hide_service("");
      warn(std::string("init needs ") + id + ": " + error.what());
    }
  }
  plugins::hide_service("");
}

void deinit(const Subject& subject) {
  if (subject.plugin->plugin->deinit != nullptr)
    plugins::guarded(subject.plugin->id, "deinit", [&] { subject.plugin->plugin->deinit(); });
  init_again(subject);
}

}  // namespace

std::vector<Test> load_tests() {
  return {{"ESP-L02", "it exports its entry point and nothing else", Needs::kFile, "", one_symbol},
          {"ESP-L03", "it has no symbol that is unique in the process", Needs::kFile, "", no_unique},
          {"ESP-L04", "it needs no executable stack", Needs::kFile, "", no_executable_stack},
          {"ESP-L05", "it looks for libraries in no place of its own", Needs::kFile, "", no_run_path},
          {"ESP-L06", "its manifest can be read", Needs::kFile, "", manifest},
          {"ESP-L07", "it loads in under 100 ms", Needs::kFile, "", loads_fast},
          {"ESP-L08", "its entry point gives the same table twice", Needs::kLoaded, "", query_twice},
          {"ESP-H01", "it takes a host with larger tables and a later minor", Needs::kLoaded, "", larger_host},
          {"ESP-H02", "it starts without each service that a host may lack", Needs::kLoaded, "", init_without_services},
          {"ESP-H03", "it ends in order", Needs::kLoaded, "", deinit}};
}

}  // namespace espalier::validator
