#pragma once
// Teachers, plans and pruners that the tests of core/prune share.

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/model/model.h"
#include "core/prune/removal_plan.h"

namespace espalier::testing {

inline std::filesystem::path config_file(const std::string& name) {
  return std::filesystem::path(ESPALIER_SOURCE_DIR) / "tests/configs" / (name + "-unet.json");
}
inline model::BlockTree tree_of(const std::string& name) { return model::build_tree(model::read_config(config_file(name))); }

/// A plan on `teacher` that removes `paths`.
inline prune::RemovalPlan plan_for(const model::BlockTree& teacher, const std::vector<std::string>& paths) {
  prune::RemovalPlan plan{model::structure_hash(teacher.config), {}, {}};
  for (const std::string& path : paths) plan.removals.push_back({path, 0, "test", 0, 0});
  return prune::in_teacher_order(teacher, std::move(plan));
}

inline int64_t parameters(const model::BlockTree& tree) {
  int64_t sum = 0;
  for (const model::TensorSpec& spec : model::tensor_specs(tree)) sum += spec.shape.elements();
  return sum;
}

/// Everything that a tree says, origins included, as text that compares and prints.
inline std::string tree_text(const model::BlockTree& tree, bool origins = true) {
  std::string text;
  for (const model::BlockRef& ref : model::block_refs(tree))
    text += ref.path + " " + ref.kind + (origins ? " < " + ref.origin : "") + "\n";
  for (const model::TensorSpec& spec : model::tensor_specs(tree))
    text += spec.name + " " + to_string(spec.shape) + (origins ? " < " + spec.origin : "") + "\n";
  return text + model::structure_hash(tree.config);
}

/// What a call that must fail says; "" when it does not fail.
template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

/// A fresh folder under the system's temporary one, removed at the end.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "espalier-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Error("cannot make a temporary folder");
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace espalier::testing
