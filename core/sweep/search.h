#pragma once
// Trials that a program asks for, over a pipe: docs/search-protocol.md.

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/talk.h"
#include "core/sweep/control.h"

namespace espalier::sweep {

struct SearchContext {
  const SweepFile& file;
  int64_t planned_steps = 0;  // of the base recipe
  CheckRecipe check;          // as for the trials of a table
  /// What else keeps a sound recipe from being run; "": nothing.
  std::function<std::string(const Trial&, const train::Recipe&)> fault;
  std::filesystem::path log;  // what the program writes to stderr
  std::function<void(const std::string&)> say;
};

/// The program of `search`, started when there are trials to ask for and ended with this object.
///
/// A program that dies, answers something that is no answer, or nothing in time, is given up: `failed`, with the reason and its
/// last line of stderr said once. It is asked again, up to ten times, for what it has asked for before.
/// Errors, of `begin`: UserError when it cannot be started.
class SearchProgram final : public TrialSource {
 public:
  explicit SearchProgram(SearchContext context) : context_(std::move(context)) {}

  int64_t total() const override { return context_.file.search.trials; }
  int64_t planned_steps() const override { return context_.planned_steps; }
  void begin(const std::vector<Trial>& trials, const std::vector<std::optional<Outcome>>& outcomes) override;
  std::optional<AskedTrial> next() override;
  bool over() const override { return over_; }
  bool failed() const override { return failed_; }
  void tell(size_t index, const Trial& trial, const Outcome& outcome) override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Known {
    size_t number;       // of the trial, from 1
    std::string result;  // what the program is told of it, as JSON without braces; "" while it runs
  };

  void ask();
  std::optional<AskedTrial> answered(const std::string& line);
  std::optional<AskedTrial> trial_of(const Point& point);
  void give_up(const std::string& why);

  SearchContext context_;
  std::optional<Talk> talk_;
  std::map<std::string, Known> known_;  // by id
  std::optional<Clock::time_point> asked_;
  uint64_t log_begins_ = 0;
  int repeats_ = 0;
  bool over_ = false, failed_ = false;
};

/// What a search may choose from and what it varies, as text to compare: its axes and its base recipe.
std::string search_text(const SweepFile& file, const std::string& base_recipe);

/// The axes, one a line, for people.
std::string axes_text(const SweepFile& file);

}  // namespace espalier::sweep
