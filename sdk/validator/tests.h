#pragma once
// What the groups of tests share. Internal to this room.

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/prune/strategy.h"
#include "plugins/loader.h"
#include "plugins/params.h"
#include "sdk/validator/check.h"

namespace espalier::validator {

/// Thrown by a test; anything else that leaves it counts as a failure with its text.
struct Verdict : std::runtime_error {
  Verdict(Outcome o, const std::string& text) : std::runtime_error(text), outcome(o) {}
  Outcome outcome;
};
[[noreturn]] inline void fail(const std::string& text) { throw Verdict(Outcome::kFail, text); }
[[noreturn]] inline void warn(const std::string& text) { throw Verdict(Outcome::kWarn, text); }
[[noreturn]] inline void skip(const std::string& text) { throw Verdict(Outcome::kSkip, text); }

/// What a test is about: in the process of a test the plugin is loaded, examined and initialised, but for tests of the file
/// itself.
struct Subject {
  std::filesystem::path file;
  uint64_t seed = 0;
  int fuzz_seconds = 0;
  const plugins::Verdict* plugin = nullptr;       // null in tests of the file
  const plugins::Component* component = nullptr;  // null in tests of the plugin as a whole
};

enum class Needs { kFile, kLoaded, kComponent };

struct Test {
  const char* id;
  const char* name;  // a promise
  Needs needs;
  const char* kind;  // of the component; "": any
  void (*run)(const Subject&);
  bool fuzz = false;  // only with fuzz_seconds
};

std::vector<Test> load_tests();
std::vector<Test> param_tests();
std::vector<Test> contract_tests();
std::vector<Test> loss_tests();
std::vector<Test> prune_tests();
std::vector<Test> metric_tests();
std::vector<Test> backend_tests();

/// Values for `sets` ("k=v") over the defaults; parameters that are required and not set get the least of what they may be.
plugins::ParamValues values_of(const plugins::Component& component, const std::vector<std::string>& sets);
/// A value of `spec` drawn by (seed, draw), as "k=v"; "" where none can be drawn.
std::string random_set(const plugins::ParamSpec& spec, uint64_t seed, uint64_t draw);

/// A model with SDXL's stages and depths, narrow, and the units of it.
struct TinyModel {
  TinyModel();
  model::BlockTree tree;
  std::vector<prune::Unit> units;
  prune::ModelPrice price;
  io::TensorSourcePtr weights;
};
/// Made at the first call: before the processes of tests are forked, which then have it.
const TinyModel& tiny_model();
/// What a pruner sees of `model`, with scores that are a function of the units' names.
prune::StrategyInput input_of(const TinyModel& model, uint64_t seed);

/// Asks the component for one piece of work of its kind, by `sets`: rows, terms, numbers; of a backend, its device. A refusal
/// that says why is fine: "[id] text" is returned; "" when the work was done.
std::string exercise(const plugins::Component& component, const std::vector<std::string>& sets, uint64_t seed);
/// Parameters that the component takes: the defaults, or else drawn ones. Skips the test where it refuses sixteen draws.
std::vector<std::string> accepted_sets(const Subject& subject);
/// The text of what a plugin refused; fails where it says nothing.
std::string refusal_of(const std::exception& error, const plugins::Component& component);

}  // namespace espalier::validator
