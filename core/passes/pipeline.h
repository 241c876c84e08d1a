#pragma once
// The list of passes, and running them: verified after each, switched off by name, dumped and timed.

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/passes/pass.h"

namespace espalier::passes {

/// Every pass, in the order of `espalier opt --list`.
std::span<const Pass* const> all_passes();
/// The passes of a name list, in its order; `{"none"}` is no pass. Errors: UserError with did-you-mean for each unknown name, all
/// at once.
std::vector<const Pass*> find_passes(std::span<const std::string> names);
/// What `optimise` runs, in order; a name may stand there twice.
std::vector<const Pass*> standard_pipeline();

#ifdef NDEBUG
constexpr bool kVerifyByDefault = false;
#else
constexpr bool kVerifyByDefault = true;
#endif

struct PipelineOptions {
  Context context;
  std::vector<std::string> disabled = {};  // names of passes to leave out; unknown ones are a UserError
  bool verify = kVerifyByDefault;          // the graph given, and the graph after each pass
  /// When set: receives 000_input.eir, then NNN_<pass>.eir for each pass that changed the graph, and index.txt with
  /// times. Created when absent; refused when it holds anything but such files.
  std::filesystem::path dump_folder = {};
};

/// What one pass did.
struct PassRecord {
  std::string_view name;
  bool changed = false;
  bool disabled = false;
  double ms = 0;
  size_t nodes_before = 0, nodes_after = 0;
};

/// Runs `passes` in order.
///
/// Errors: VerifyError that names the pass after which the graph broke a rule; UserError for the dump folder.
Graph run_passes(const Graph& graph, std::span<const Pass* const> passes, const PipelineOptions& options = {},
                 std::vector<PassRecord>* records = nullptr);

/// The standard pipeline for a backend.
Graph optimise(const Graph& graph, const PipelineOptions& options = {}, std::vector<PassRecord>* records = nullptr);

/// A table for people: pass, time, nodes, "(unchanged)" or "(disabled)".
std::string to_text(std::span<const PassRecord> records);

}  // namespace espalier::passes
