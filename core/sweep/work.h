#pragma once
// Running trials: one, or one after another until none is left.

#include <functional>
#include <optional>
#include <string>

#include "core/sweep/scan.h"
#include "core/train/services.h"

namespace espalier::sweep {

/// The services of a trial's recipe, plugins checked. Errors: UserError.
using MakeServices = std::function<train::Services(const train::Recipe&)>;

/// How a sweep's trials share what the teacher made, in `folder`; nothing where they do not.
std::optional<train::TeacherValuesSpec> teacher_values_of(const ShareRules& share, const std::filesystem::path& folder);

/// What became of an attempt.
enum class Attempt { kNotMine, kSettled, kFailed, kHalted };

struct WorkContext {
  const Store& store;
  const std::vector<Trial>& trials;
  const Rules& rules;
  MakeServices services;
  std::function<void(const std::string&)> say;
};

/// Runs trial `index` from where it stands to its end, or to where the stop rule lets it go.
///
/// kNotMine: another process has it or what it begins with, or it is done. kFailed: the attempt failed, and the trial may be
/// tried again. Guarantees: no trial has two outcomes; whoever is killed leaves a trial that goes on from its newest checkpoint;
/// one whose worker was seen killed eight times in a row at one place, or that failed more often than it may be retried, is
/// settled as failed.
/// Errors: Interrupted, with a checkpoint; NoSpaceError likewise; UserError for what this process lacks (a plugin, a backend),
/// which counts as no attempt.
Attempt run_trial(const WorkContext& context, size_t index);

/// Takes trials until all are settled or wait for good. False when an attempt failed. Errors: those of run_trial; Error when
/// three trials in a row have failed, so that a process in a wrong place does not use up the retries of a whole sweep.
bool work(const WorkContext& context);

}  // namespace espalier::sweep
