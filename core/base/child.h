#pragma once
// A process of our own, that ends with us.

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace espalier {

/// How a child ended.
struct ChildEnd {
  int exit_code = 0;
  int signal = 0;  // not 0: it died of this one
  /// "exit code 3", "signal 9 (Killed)".
  std::string text() const;
};

/// What becomes a child's stdin and stdout. They stay the caller's to close.
struct ChildPipes {
  int in = -1, out = -1;
};
/// Whom a child's signals reach: itself, or all that it starts as well (they are a process group then, which a terminal's Ctrl-C
/// does not reach).
enum class Signals { kChild, kGroup };

/// A running child. Destroying it kills it and waits. It is killed too when this process dies, however it does, unless it has
/// become another user's; what it has started itself is not.
class Child {
 public:
  /// Starts `words[0]`, looked for on PATH, with stdin closed, stdout and stderr appended to `log`.
  /// Errors: Error naming the program and the system's reason.
  /// With `pipes` those are stdin and stdout, and stderr alone goes to `log`.
  Child(const std::vector<std::string>& words, const std::filesystem::path& log, Signals signals = Signals::kChild,
        ChildPipes pipes = ChildPipes());
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  /// How it ended; nothing while it runs.
  std::optional<ChildEnd> poll();
  void send(int signal) const;

 private:
  pid_t pid_ = -1;
  Signals signals_ = Signals::kChild;
  std::optional<ChildEnd> end_;
};

/// This program's own file.
std::filesystem::path own_program();

/// Whether a program of this name can be started from PATH.
bool on_path(const std::string& program);

/// `word` as one word for /bin/sh, whatever it holds.
std::string shell_quoted(const std::string& word);
std::string shell_line(const std::vector<std::string>& words);

}  // namespace espalier
