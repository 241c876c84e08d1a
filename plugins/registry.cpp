#include "plugins/registry.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/host.h"
#include "plugins/lock.h"
#include "plugins/scan.h"

namespace espalier::plugins {
namespace {

// Plugins whose init was called, in that order. A library is never unloaded, so the record is the process's too.
std::vector<const esp_plugin*>& initialised() {
  static auto* plugins = new std::vector<const esp_plugin*>;  // leaked: read by the exit handler
  return *plugins;
}

void deinit_all() {
  for (auto plugin = initialised().rbegin(); plugin != initialised().rend(); ++plugin)
    if ((*plugin)->deinit != nullptr) contained((*plugin)->deinit);
}

std::string last_part(const std::string& id) { return id.substr(id.rfind('.') + 1); }

}  // namespace

Registry::Registry(const SearchRequest& request) {
  SearchResult found = search(request);
  places_ = std::move(found.places);
  std::vector<std::string> faults(found.candidates.size());
  if (!request.lock.empty()) {
    const Lock lock(request.lock);
    for (size_t i = 0; i < faults.size(); ++i) faults[i] = lock.fault(found.candidates[i].file);
  }
  std::vector<Candidate> allowed;
  for (size_t i = 0; i < faults.size(); ++i)
    if (faults[i].empty()) allowed.push_back(found.candidates[i]);
  const std::vector<std::string> scanned = scan(allowed);
  for (size_t i = 0, k = 0; i < faults.size(); ++i) {
    if (faults[i].empty()) faults[i] = scanned[k++];
    if (faults[i].empty()) {
      verdicts_.push_back(load(found.candidates[i]));
      continue;
    }
    Verdict& verdict = verdicts_.emplace_back();
    verdict.file = found.candidates[i].file, verdict.origin = found.candidates[i].origin,
    verdict.named = found.candidates[i].named;
    verdict.reason = faults[i];
  }
  settle_duplicates();
  initialise();
}

void Registry::settle_duplicates() {
  std::map<std::string, std::vector<size_t>> offers;  // id → verdicts
  for (size_t i = 0; i < verdicts_.size(); ++i)
    for (const Component& component : verdicts_[i].components) offers[component.id].push_back(i);
  for (const auto& [id, files] : offers) {
    if (files.size() < 2) continue;
    const auto named = std::count_if(files.begin(), files.end(), [&](size_t i) { return verdicts_[i].named; });
    for (size_t i : files) {
      Verdict& verdict = verdicts_[i];
      if ((named == 1 && verdict.named) || !verdict.reason.empty()) continue;
      std::vector<std::string> others;
      for (size_t other : files)
        if (other != i && (named != 1 || verdicts_[other].named)) others.push_back(verdicts_[other].file.string());
      verdict.ok = false;
      verdict.reason = "duplicate: " + id + " is also in " + join(others, ", ") +
                       (named == 1 ? ", which --plugin names" : "; remove one, or name one with --plugin");
    }
  }
}

void Registry::initialise() {
  for (Verdict& verdict : verdicts_) {
    if (!verdict.ok) continue;
    auto& done = initialised();
    if (std::find(done.begin(), done.end(), verdict.plugin) != done.end()) continue;
    if (verdict.plugin->init != nullptr) {
      try {
        checked(verdict.id, "init", [&] { return verdict.plugin->init(host_table()); });
      } catch (const Error& error) {
        verdict.ok = false;
        verdict.reason = std::string("init failed: ") + error.what();
        continue;
      }
    }
    if (done.empty()) std::atexit(deinit_all);
    done.push_back(verdict.plugin);
  }
}

std::vector<const Component*> Registry::of_kind(std::string_view kind) const {
  std::vector<const Component*> out;
  for (const Verdict& verdict : verdicts_)
    if (verdict.ok)
      for (const Component& component : verdict.components)
        if (component.kind == kind) out.push_back(&component);
  std::sort(out.begin(), out.end(), [](const Component* a, const Component* b) { return a->id < b->id; });
  return out;
}

const Component* Registry::find_any(std::string_view id) const {
  for (const Verdict& verdict : verdicts_)
    if (verdict.ok)
      for (const Component& component : verdict.components)
        if (component.id == id) return &component;
  return nullptr;
}

const Component& Registry::find(std::string_view kind, std::string_view id) const {
  std::vector<std::string> known;
  for (const Component* component : of_kind(kind)) {
    if (component->id == id) return chosen(*component);
    known.push_back(component->id);
  }
  if (const Component* other = find_any(id))
    throw UserError("'" + other->id + "' is of kind " + other->kind + ", wanted is " + std::string(kind));
  not_found(kind == kPruneKind ? "pruner" : kind == kLossKind ? "loss" : kind == kMetricKind ? "metric" : "component", id, known);
}

const Component& Registry::find_backend(std::string_view name) const {
  std::vector<std::string> known;
  for (const Component* component : of_kind(kBackendKind)) {
    if (component->id == name || last_part(component->id) == name) return chosen(*component);
    known.push_back(last_part(component->id));
  }
  known.emplace_back("reference");
  not_found("backend", name, known);
}

const Component& Registry::chosen(const Component& component) const {
  ErrorList errors;
  for (const Verdict& verdict : verdicts_)
    if (verdict.named && !verdict.ok) errors.add("--plugin " + verdict.file.string() + ": " + verdict.reason);
  errors.throw_if_any();
  return component;
}

void Registry::not_found(std::string_view what, std::string_view name, const std::vector<std::string>& known) const {
  std::string text = "no " + std::string(what) + " '" + printable(name) + "'";
  const std::string hint = did_you_mean(name, known);
  text += !hint.empty() ? hint : known.empty() ? std::string("; none was found") : "; known: " + join(known, ", ");
  text += "\n" + places_text(places_);
  for (const Verdict& verdict : verdicts_)
    if (!verdict.ok) text += "\nrefused " + verdict.file.string() + ": " + verdict.reason;
  throw UserError(text);
}

}  // namespace espalier::plugins
