#include "core/passes/pipeline.h"

#include <chrono>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/hash.h"
#include "core/ir/verify.h"
#include "core/passes/canonicalise.h"
#include "core/passes/cse.h"
#include "core/passes/dce.h"
#include "core/passes/dump.h"
#include "core/passes/expand.h"
#include "core/passes/fold_constants.h"
#include "core/passes/fuse.h"
#include "core/passes/mixed_precision.h"
#include "core/passes/recompute.h"
#include "core/passes/sink_casts.h"

namespace espalier::passes {
namespace {

constexpr Pass kCanonicalise{"canonicalise", "what can be written in several ways is written in one", canonicalise};
constexpr Pass kFoldConstants{"fold_constants", "no op reads constants alone, up to 4096 elements", fold_constants};
constexpr Pass kCse{"cse", "no two nodes make the same value", cse};
constexpr Pass kDce{"dce", "every node serves an output", dce};
constexpr Pass kFuse{"fuse", "elementary patterns are composites where the backend accepts them", fuse};
constexpr Pass kExpand{"expand", "no composite is left that the backend does not accept", expand};

constexpr Pass kMixedPrecision{"mixed_precision", "what can be computed in the narrow type asked for is", mixed_precision};
constexpr Pass kSinkCasts{"sink_casts", "a cast stands directly before what reads it", sink_casts};
constexpr Pass kRecompute{"recompute", "live values fit the memory target where computing units again can do that", recompute};

constexpr const Pass* kAll[] = {&kCanonicalise, &kFoldConstants,  &kCse,       &kDce,      &kFuse,
                                &kExpand,       &kMixedPrecision, &kSinkCasts, &kRecompute};

// The table of contents: what happens to a graph between its builder and lowering.
constexpr const Pass* kStandard[] = {
    &kDce,             // what no output needs is not worth looking at
    &kMixedPrecision,  // before types are looked at by anything else
    &kCanonicalise,    // equal things look equal
    &kFoldConstants,   // what is known before anything runs
    &kCanonicalise,    // a folded operand may be a 0 or a 1
    &kCse,             // before fuse, because it decides what is read once
    &kFuse,            // what the backend runs as one kernel
    &kExpand,          // what the backend does not know
    &kCanonicalise,    // expanded composites bring reshapes of reshapes
    &kCse,             // and may share parts
    &kDce,             // nothing that does not run is weighed below
    &kSinkCasts,       // cse has joined casts that are better made twice
    &kRecompute,       // what runs by now, a second time where that saves memory
};

void verify_after(const Graph& graph, std::string_view pass) {
  try {
    verify(graph);
  } catch (VerifyError& error) {
    error.add_context("after pass " + std::string(pass));
    throw;
  }
}

}  // namespace

std::span<const Pass* const> all_passes() { return kAll; }

std::vector<const Pass*> standard_pipeline() { return {std::begin(kStandard), std::end(kStandard)}; }

std::vector<const Pass*> find_passes(std::span<const std::string> names) {
  if (names.size() == 1 && names[0] == "none") return {};
  std::vector<std::string> known;
  for (const Pass* pass : kAll) known.emplace_back(pass->name);
  std::vector<const Pass*> found;
  ErrorList errors;
  for (const std::string& name : names) {
    const Pass* match = nullptr;
    for (const Pass* pass : kAll)
      if (pass->name == name) match = pass;
    if (match == nullptr)
      errors.add("[opt] unknown pass '" + printable(name) + "'" + did_you_mean(name, known) + "; known are " + join(known, ", "));
    found.push_back(match);
  }
  errors.throw_if_any();
  return found;
}

Graph run_passes(const Graph& graph, std::span<const Pass* const> passes, const PipelineOptions& options,
                 std::vector<PassRecord>* records) {
  using Clock = std::chrono::steady_clock;
  const std::vector<const Pass*> disabled = find_passes(options.disabled);
  if (options.verify) verify(graph);
  DumpFolder dump(options.dump_folder);
  dump.add("input", &graph);
  std::vector<PassRecord> done;
  Graph current = graph;
  for (const Pass* pass : passes) {
    PassRecord record{.name = pass->name, .nodes_before = current.nodes().size(), .nodes_after = current.nodes().size()};
    for (const Pass* off : disabled) record.disabled = record.disabled || off->name == pass->name;
    if (!record.disabled) {
      const auto begin = Clock::now();
      Graph next = pass->run(current, options.context);
      record.ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
      record.nodes_after = next.nodes().size();
      record.changed = !structurally_equal(current, next);
      current = std::move(next);
    }
    // Written before it is verified: a broken graph is what one wants to look at.
    dump.add(pass->name, record.changed ? &current : nullptr);
    done.push_back(record);
    if (options.verify && record.changed) verify_after(current, pass->name);
  }
  dump.finish(to_text(done));
  if (records != nullptr) records->insert(records->end(), done.begin(), done.end());
  return current;
}

Graph optimise(const Graph& graph, const PipelineOptions& options, std::vector<PassRecord>* records) {
  return run_passes(graph, standard_pipeline(), options, records);
}

std::string to_text(std::span<const PassRecord> records) {
  const auto padded = [](const std::string& text, size_t width, bool right) {
    const std::string space(text.size() < width ? width - text.size() : 0, ' ');
    return right ? space + text : text + space;
  };
  std::string out = "  #  pass                  ms   nodes\n";
  for (size_t i = 0; i < records.size(); ++i) {
    const PassRecord& r = records[i];
    std::string ms = std::to_string(r.ms);
    ms.resize(ms.find('.') + 3);
    out += padded(std::to_string((i + 1) * 10), 3, true) + "  " + padded(std::string(r.name), 16, false) + padded(ms, 8, true) +
           padded(std::to_string(r.nodes_after), 8, true) +
           (r.disabled  ? "  (disabled)"
            : r.changed ? ""
                        : "  (unchanged)") +
           "\n";
  }
  return out;
}

}  // namespace espalier::passes
