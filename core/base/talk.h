#pragma once
// A child that is spoken to in lines: its stdin and stdout are ours, its stderr is a log.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/child.h"

namespace espalier {

/// Nothing here waits, except the destructor, which closes the child's stdin and gives it two seconds before it is killed.
class Talk {
 public:
  /// Starts `words[0]`, looked for on PATH, with stderr appended to `log`. Errors: Error naming the program and the system's
  /// reason.
  Talk(const std::vector<std::string>& words, const std::filesystem::path& log);
  ~Talk();
  Talk(const Talk&) = delete;
  Talk& operator=(const Talk&) = delete;

  /// Sends `line` and a line feed: as much as the pipe takes now, the rest with later calls of `hear`. A child that has closed
  /// its stdin gets nothing; `gone` tells.
  void say(std::string_view line);
  /// The next whole line, without its line feed.
  std::optional<std::string> hear();
  /// The child has closed its stdout, or died, and `hear` has given every line.
  bool gone() const { return closed_ && heard_.empty(); }
  /// It has written more than `kMostLine` without a line feed, and is not listened to any more.
  bool babbles() const { return babbles_; }
  /// How it ended; nothing while it runs.
  std::optional<ChildEnd> poll() { return child_->poll(); }

  static constexpr size_t kMostLine = size_t{1} << 20;  // bytes

 private:
  void push();
  void pull();

  int to_ = -1, from_ = -1;
  std::optional<Child> child_;
  std::string unsaid_, heard_;
  bool closed_ = false, babbles_ = false;
};

}  // namespace espalier
