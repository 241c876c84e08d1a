// Memory, threads, output: what holds for every kind.

#include <espalier/calibration.h>
#include <espalier/loss.h>
#include <espalier/metric.h>
#include <espalier/prune.h>
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "core/base/text.h"
#include "plugins/elf.h"
#include "plugins/host.h"
#include "plugins/services.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

constexpr size_t kKept = 64;  // bytes that each round may keep on average

size_t heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

/// Runs `round` until it is warm, then `rounds` times, and fails when each keeps memory.
template <typename F>
void keeps_nothing(size_t rounds, const char* what, const F& round) {
  if (plugins::host_has_asan() || plugins::host_has_tsan()) skip("a sanitizer has its own allocator");
  for (int i = 0; i < 3; ++i) round();
  const size_t before = heap_bytes();
  for (size_t i = 0; i < rounds; ++i) round();
  const size_t after = heap_bytes();
  if (after > before && (after - before) / rounds >= kKept)
    fail(std::to_string((after - before) / rounds) + " bytes are kept at each " + what + ": a leak");
}

void instances(const Subject& subject) {
  const plugins::Component& component = *subject.component;
  const plugins::ParamValues values = values_of(component, {});
  const auto make_and_destroy = [&](auto vtable) {
    keeps_nothing(1000, "create and destroy", [&] {
      void* self = nullptr;
      if (vtable->create(values.values().data(), values.values().size(), &self) != ESP_OK)
        skip("create refuses the defaults: " + plugins::plugin_error());
      vtable->destroy(self);
    });
  };
  if (component.kind == "esp.prune/1") make_and_destroy(static_cast<const esp_prune_vtable*>(component.vtable));
  if (component.kind == "esp.loss/1") make_and_destroy(static_cast<const esp_loss_vtable*>(component.vtable));
  if (component.kind == "esp.metric/1") make_and_destroy(static_cast<const esp_metric_vtable*>(component.vtable));
}

void calls(const Subject& subject) {
  if (subject.component->kind == "esp.backend/1") skip("of backends, ESP-B04");
  keeps_nothing(12, "call", [&] { exercise(*subject.component, {}, subject.seed); });
}

void two_threads(const Subject& subject) {
  if (subject.component->kind == "esp.backend/1") skip("a backend is used by one thread");
  std::string faults[2];
  std::thread both[2];
  for (int i = 0; i < 2; ++i)
    both[i] = std::thread([&, i] {
      try {
        for (int round = 0; round < 3; ++round) exercise(*subject.component, {}, subject.seed);
      } catch (const std::exception& error) {
        faults[i] = error.what();
      }
    });
  for (std::thread& each : both) each.join();
  for (const std::string& fault : faults)
    if (!fault.empty()) fail("two instances at once: " + fault);
}

void own_threads(const Subject& subject) {
  plugins::foreign_calls();
  exercise(*subject.component, {}, subject.seed);
  std::this_thread::sleep_for(std::chrono::milliseconds(3));  // a thread of its own may come late
  if (const int64_t calls = plugins::foreign_calls(); calls > 0)
    fail("it calls the host from a thread of its own (" + std::to_string(calls) + " calls); rule ESP-R7");
}

void prints_nothing(const Subject& subject) {
  exercise(*subject.component, {}, subject.seed);
  std::fflush(nullptr);
  const off_t bytes = ::lseek(STDOUT_FILENO, 0, SEEK_END);
  if (bytes > 0) fail("it writes to stdout (" + std::to_string(bytes) + " bytes); esp_host.log is the way to print, rule ESP-R8");
}

void without_services(const Subject& subject) {
  for (const char* id :
       {ESP_RNG_SERVICE, ESP_CANCEL_SERVICE, ESP_METRICS_SERVICE, ESP_ARTIFACT_SERVICE, ESP_WEIGHTS_SERVICE,
        ESP_GRAPH_READ_SERVICE, ESP_EVALUATE_SERVICE, ESP_GATE_GRADIENTS_SERVICE, ESP_STATISTICS_SERVICE, ESP_LATENCY_SERVICE}) {
    plugins::hide_service(id);
    try {
      exercise(*subject.component, {}, subject.seed);
    } catch (const std::exception& error) {
      fail(std::string("without ") + id + ": " + error.what());
    }
  }
  plugins::hide_service("");
}

void fuzz(const Subject& subject) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(subject.fuzz_seconds);
  for (uint64_t round = 0; std::chrono::steady_clock::now() < end; ++round) {
    std::vector<std::string> sets;
    const uint64_t seed = subject.seed + round;
    for (size_t i = 0; i < subject.component->params.size(); ++i)
      if (const std::string set = random_set(subject.component->params[i], seed, i); !set.empty()) sets.push_back(set);
    try {
      exercise(*subject.component, sets, seed);
    } catch (const std::exception& error) {
      fail("seed " + std::to_string(seed) + " with " + join(sets, " ") + ": " + error.what());
    }
  }
}

}  // namespace

std::vector<Test> contract_tests() {
  return {{"ESP-C01", "a thousand instances keep no memory", Needs::kComponent, "", instances},
          {"ESP-C02", "calls keep no memory", Needs::kComponent, "", calls},
          {"ESP-C03", "two instances work on two threads", Needs::kComponent, "", two_threads},
          {"ESP-C04", "no thread of its own calls the host", Needs::kComponent, "", own_threads},
          {"ESP-C05", "it prints nothing", Needs::kComponent, "", prints_nothing},
          {"ESP-C06", "without a service it works, or refuses with a reason", Needs::kComponent, "", without_services},
          {"ESP-F01", "random parameters do no harm", Needs::kComponent, "", fuzz, true}};
}

}  // namespace espalier::validator
