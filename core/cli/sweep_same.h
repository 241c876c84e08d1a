#pragma once
// Whether a sweep's folder is of the sweep that a file asks for.

#include <string>
#include <vector>

#include "core/sweep/sizes.h"
#include "core/sweep/store.h"
#include "core/sweep/sweep_file.h"

namespace espalier::cli {

/// Throws the UserError with the difference unless the folder's trials are `now`, but for ones that are done and no longer asked
/// for, and its rules are the file's.
void require_same(const sweep::Store& store, const std::vector<sweep::Trial>& now, const sweep::SweepFile& file);

/// The same for a search, which has no list beforehand: it chooses from the same axes, over the same base, by the same rules.
/// `text`: of both, as `search_file` keeps it.
void require_same_search(const sweep::Store& store, const std::string& text, const sweep::SweepFile& file);
std::filesystem::path search_file(const sweep::Store& store);

/// Trials of one sweep are compared with one another, and rounding is part of what a trial is: --extend does not change it.
void require_same_rounding(const sweep::ShareRules& begun, const sweep::ShareRules& now);

/// The fingerprints of the folder and of `sizes` together. Errors: UserError naming each path where there is now something else
/// than when the sweep was begun: its rows would be of different teachers or data.
std::map<std::string, std::string> same_inputs(const sweep::Store& store, const std::vector<sweep::TrialSize>& sizes);

/// Done trials of the folder that are not among `now`: they stay in the tables.
std::vector<sweep::Trial> done_besides(const sweep::Store& store, const std::vector<sweep::Trial>& now);

}  // namespace espalier::cli
