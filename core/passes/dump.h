#pragma once
// A folder with the text of a graph after every pass that changed it.

#include <filesystem>
#include <string>
#include <string_view>

#include "core/ir/graph.h"

namespace espalier::passes {

/// `NNN_<name>.eir`, numbered in tens from 000 in the order of `add`, and `index.txt`. An empty path makes all calls do
/// nothing.
class DumpFolder {
 public:
  /// Creates the folder, or removes the files of an earlier dump from it. Errors: UserError that names what else it holds.
  explicit DumpFolder(std::filesystem::path folder);
  /// `graph` is null when the step left the graph as it was: the number is used up, no file is written.
  void add(std::string_view name, const Graph* graph);
  void finish(std::string_view table);

 private:
  std::filesystem::path folder_;
  int next_ = 0;
};

}  // namespace espalier::passes
