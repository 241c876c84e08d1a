#pragma once
#include <string>

#include "core/train/write_run.h"

namespace espalier::train {

/// The folder that a model card lies in: what it says of files is seen from there.
enum class CardOf { kRun, kStudent, kEma };

/// RUN/README.md, or that of a student folder: teachers with the licence lines of their model cards, what was removed, losses,
/// steps that count, sizes.
std::string model_card(const FinishedRun& run, CardOf of);

/// Every teacher of the run in the order in which they taught, one that two stages name in a row once; empty without [teacher].
std::vector<std::filesystem::path> teachers_of(const FinishedRun& run);

}  // namespace espalier::train
