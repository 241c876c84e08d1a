// Plans as patches: one after the other, and backwards.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/prune/block_address.h"
#include "core/prune/removal_plan.h"

namespace espalier::prune {
namespace {

using model::BlockTree;

/// Re-inserts removed parts of one list: walks the teacher's, takes the student's item of that origin where there is one.
template <typename T, typename Restore>
std::vector<T> merged(const std::vector<T>& student, const std::vector<T>& teacher, const Restore& restore) {
  std::vector<T> items;
  for (const T& original : teacher) {
    const auto kept =
        std::find_if(student.begin(), student.end(), [&](const T& s) { return restore.origin(s) == restore.origin(original); });
    items.push_back(kept == student.end() ? restore.reinserted(original) : restore.joined(*kept, original));
  }
  return items;
}

/// Knows which blocks the plan removed and complains about any other that is missing.
class Restorer {
 public:
  Restorer(const RemovalPlan& plan, ErrorList& errors) : errors_(errors) {
    for (const Removal& removal : plan.removals) rows_.insert(removal.path);
  }
  bool removed(const std::string& path) const {
    return std::any_of(rows_.begin(), rows_.end(), [&](const std::string& row) { return is_within(path, row); });
  }
  void require_row(const std::string& path) const {
    if (!removed(path)) errors_.add(fmt::format("[{}] the student lacks this block and no row of the plan removes it", path));
  }
  void require_no_row(const std::string& path) const {
    if (rows_.count(path) > 0) errors_.add(fmt::format("[{}] the student has this block although the plan removes it", path));
  }

 private:
  std::set<std::string> rows_;
  ErrorList& errors_;
};

struct RestoreBlock {
  const Restorer& rows;
  const std::string& origin(const model::TransformerBlock& b) const { return b.origin; }
  model::TransformerBlock reinserted(const model::TransformerBlock& b) const {
    rows.require_row(b.origin);
    return b;
  }
  model::TransformerBlock joined(const model::TransformerBlock& b, const model::TransformerBlock&) const {
    rows.require_no_row(b.origin);
    return b;
  }
};

std::optional<model::Attention> restored(const std::optional<model::Attention>& student,
                                         const std::optional<model::Attention>& teacher, const Restorer& rows) {
  if (!teacher) return std::nullopt;
  if (!student) {
    rows.require_row(teacher->origin);
    return teacher;
  }
  rows.require_no_row(student->origin);
  model::Attention attention = *student;
  attention.blocks = merged(student->blocks, teacher->blocks, RestoreBlock{rows});
  return attention;
}

struct RestoreLayer {
  const Restorer& rows;
  const std::string& origin(const model::Layer& l) const { return l.resnet.origin; }
  model::Layer reinserted(const model::Layer& l) const {
    rows.require_row(l.resnet.origin);
    if (l.attention) rows.require_row(l.attention->origin);
    return l;
  }
  model::Layer joined(const model::Layer& student, const model::Layer& teacher) const {
    rows.require_no_row(student.resnet.origin);
    return {student.resnet, restored(student.attention, teacher.attention, rows)};
  }
};

struct RestoreResnet {
  const Restorer& rows;
  const std::string& origin(const model::Resnet& r) const { return r.origin; }
  model::Resnet reinserted(const model::Resnet& r) const {
    rows.require_row(r.origin);
    return r;
  }
  model::Resnet joined(const model::Resnet& r, const model::Resnet&) const {
    rows.require_no_row(r.origin);
    return r;
  }
};

struct RestoreStage {
  const Restorer& rows;
  const std::string& origin(const model::Stage& s) const { return s.origin; }
  model::Stage reinserted(const model::Stage& s) const {
    rows.require_row(s.origin);
    return s;
  }
  model::Stage joined(const model::Stage& student, const model::Stage& teacher) const {
    rows.require_no_row(student.origin);
    model::Stage stage = student;
    stage.layers = merged(student.layers, teacher.layers, RestoreLayer{rows});
    stage.cross_attention =
        std::any_of(stage.layers.begin(), stage.layers.end(), [](const model::Layer& l) { return l.attention.has_value(); });
    if (teacher.sampler && !student.sampler) rows.require_row(teacher.sampler_origin);
    stage.sampler = teacher.sampler;
    stage.sampler_origin = teacher.sampler_origin;
    return stage;
  }
};

}  // namespace

RemovalPlan compose(const BlockTree& teacher, const RemovalPlan& first, const RemovalPlan& second, Expressible expressible) {
  const BlockTree middle = apply_plan(teacher, first, "first plan", expressible);
  apply_plan(middle, second, "second plan", expressible);
  std::map<std::string, std::string> origins;
  for (const model::BlockRef& ref : model::block_refs(middle)) origins.emplace(ref.path, ref.origin);
  std::map<std::string, std::string> teacher_paths;  // origin → path, for a teacher that is itself a student
  for (const model::BlockRef& ref : model::block_refs(teacher)) teacher_paths.emplace(ref.origin, ref.path);

  RemovalPlan plan{first.teacher, {}, first.notes};
  for (const std::string& note : second.notes)
    if (std::find(plan.notes.begin(), plan.notes.end(), note) == plan.notes.end()) plan.notes.push_back(note);
  int64_t next_stage = 0;
  for (const Removal& removal : first.removals) next_stage = std::max(next_stage, removal.stage + 1);
  std::vector<Removal> added;
  for (Removal removal : second.removals) {
    removal.path = teacher_paths.at(origins.at(removal.path));
    removal.stage += next_stage;
    removal.line = removal.column = 0;
    added.push_back(std::move(removal));
  }
  for (const Removal& removal : first.removals) {
    const bool swallowed =
        std::any_of(added.begin(), added.end(), [&](const Removal& r) { return is_within(removal.path, r.path); });
    if (!swallowed) plan.removals.push_back(removal);
  }
  plan.removals.insert(plan.removals.end(), added.begin(), added.end());
  return in_teacher_order(teacher, std::move(plan));
}

BlockTree invert_plan(const BlockTree& student, const BlockTree& teacher, const RemovalPlan& plan) {
  ErrorList errors;
  const Restorer rows(plan, errors);
  BlockTree tree;
  tree.config = teacher.config;
  tree.down = merged(student.down, teacher.down, RestoreStage{rows});
  tree.up = merged(student.up, teacher.up, RestoreStage{rows});
  if (teacher.mid) {
    tree.mid = teacher.mid;
    if (student.mid) {
      rows.require_no_row(student.mid->origin);
      tree.mid = student.mid;
      tree.mid->resnets = merged(student.mid->resnets, teacher.mid->resnets, RestoreResnet{rows});
      tree.mid->attention = restored(student.mid->attention, teacher.mid->attention, rows);
    } else {
      rows.require_row(teacher.mid->origin);
    }
  }
  errors.throw_if_any();
  return tree;
}

}  // namespace espalier::prune
