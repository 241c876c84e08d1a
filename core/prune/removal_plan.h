#pragma once
// A removal plan is a patch on a teacher's structure: text, bound to the teacher's structure hash; it can be applied,
// inverted, composed and checked.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/block_tree.h"

namespace espalier::prune {

struct Removal {
  std::string path;   // block path in the teacher
  int64_t stage = 0;  // of a staged schedule; 0 when removed at once
  std::string reason;
  int line = 0;  // in the file it was read from; 0 otherwise
  int column = 0;
};

struct RemovalPlan {
  std::string teacher;             // structure hash
  std::vector<Removal> removals;   // in teacher execution order within a stage
  std::vector<std::string> notes;  // comments at the head of the file: "origin of the kept blocks is inferred …"
};

/// Reads plan.toml. Errors: one UserError with every fault at file:line:column.
RemovalPlan parse_plan(std::string_view toml, std::string_view file);
RemovalPlan read_plan(const std::filesystem::path& file);
/// plan.toml text; `parse_plan` of it gives the same plan back.
std::string write_plan(const RemovalPlan& plan);

/// Whether a diffusers config must say what a plan leaves at once, or only after `model::pad_for`.
enum class Expressible { kNow, kPadded };

/// Applies `plan` to `teacher`. Rows may name a transformer block, an attention module, a resnet, a mid block or its
/// parts, a stage with the downsampler before it; a pair is its resnet and attention rows. Survivors are renumbered.
/// Guarantees: origins of all surviving blocks are the teacher's origins; the result's config is config_of(result), with
/// kPadded the teacher's where no config says the result (only depths may then be at odds).
/// Errors: one UserError with every fault: another teacher (both hashes), unknown path (nearest), duplicate row, a row
/// inside a removed block, a resnet that changes width, rows that only together give a structure that a config can
/// express (with the rows that complete them).
model::BlockTree apply_plan(const model::BlockTree& teacher, const RemovalPlan& plan, std::string_view file = "plan",
                            Expressible expressible = Expressible::kNow);

/// `plan` with its rows in teacher execution order within a stage. Errors: none; unknown paths stand last.
RemovalPlan in_teacher_order(const model::BlockTree& teacher, RemovalPlan plan);

/// The plan that leads from `first`'s student further by `second` (whose paths are that student's), as one plan on the
/// teacher. Stages of `second` come after those of `first`; rows of `first` inside a block that `second` removes go away.
/// Law: apply(teacher, compose(first, second)) == apply(apply(teacher, first), second).
/// Errors: those of apply_plan for either plan.
RemovalPlan compose(const model::BlockTree& teacher, const RemovalPlan& first, const RemovalPlan& second,
                    Expressible expressible = Expressible::kNow);

/// Gives back the teacher's tree from a student's: the rows of `plan` are re-inserted, everything else is the student's.
/// Errors: UserError when a block is missing that no row of the plan removed, or the student has one that the plan removes.
model::BlockTree invert_plan(const model::BlockTree& student, const model::BlockTree& teacher, const RemovalPlan& plan);

}  // namespace espalier::prune
