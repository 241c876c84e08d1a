#pragma once
// What a run's inputs are, in a few hashes: a resumed run must find the ones that it began with.

#include <map>
#include <string>

#include "core/train/models.h"

namespace espalier::train {

/// "the teacher of stage 2", "the text of loss 1", "the program that prunes in stage 0".
std::string name_of_stage_teacher(size_t stage);
std::string name_of_loss_text(size_t loss);
std::string name_of_program(size_t stage);

/// Name → sha256: "teacher", "student" (of [student]), "the teacher of stage 2", "the text of loss 1", "data". Weights count with
/// the name, type, shape and the 64 bytes at either end of every tensor, a cache with its index, replayed batches as weights do:
/// enough to notice another model, other weights of the same model, or a cache that was made anew, without reading gigabytes.
/// Cost: two pages of each tensor. Errors: UserError of files that cannot be opened.
std::map<std::string, std::string> fingerprints_of(const Recipe& recipe, const Models& models);

}  // namespace espalier::train
