#pragma once
// Whether a plugin keeps what the headers say. Each test runs in a process of its own, so that one that crashes, hangs, eats
// memory or ends its process is a row of the result like any other.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace espalier::validator {

enum class Outcome { kPass, kWarn, kSkip, kFail, kCrash, kTimeout, kMemory };

/// "pass", "warn", "skip", "fail", "crash", "timeout", "memory".
std::string outcome_text(Outcome outcome);
inline bool is_bad(Outcome outcome) { return outcome >= Outcome::kFail; }

struct CheckOptions {
  std::filesystem::path file;
  uint64_t seed = 0;
  std::string only;  // regular expression over "ID name"; empty: all
  int seconds = 20;  // for each test
  uint64_t memory_bytes = uint64_t{2} << 30;
  int fuzz_seconds = 0;     // of random parameters and models, for each component; 0: none
  bool in_process = false;  // for a debugger: no processes, and the first crash is this one's
};

struct TestRow {
  std::string id, name;   // "ESP-R03", "the same rows twice"
  std::string component;  // its id; empty: the plugin as a whole
  Outcome outcome = Outcome::kPass;
  std::string text;  // what is wrong, or why it was left out
  double ms = 0;     // of the test itself
};

struct CheckResult {
  std::vector<TestRow> rows;
  double ms = 0;  // in all
  bool passed() const;
};

/// Runs every test that applies. The same seed gives the same tests on the same numbers. Guarantees: nothing of the plugin runs
/// in this process, unless `in_process`; no process that it started is left. Errors: UserError for an `only` that is no regular
/// expression.
CheckResult check_plugin(const CheckOptions& options);

}  // namespace espalier::validator
