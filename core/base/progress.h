#pragma once
// Progress of anything that takes over two seconds, on stderr. On a terminal one line that is rewritten, with rate and
// time left; elsewhere a plain line every ten seconds. --quiet shows neither.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace espalier {

/// How the amount is printed.
enum class ProgressUnit { kCount, kBytes };

/// One task. `add` costs an addition and a clock read. Not for use from several threads at once.
class Progress {
 public:
  /// `total` 0: unknown, so that only the amount and the rate are shown.
  Progress(std::string task, uint64_t total, ProgressUnit unit = ProgressUnit::kCount);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `amount` more is done; `item` names what is being worked on.
  void add(uint64_t amount, std::string_view item = "");
  uint64_t done() const { return done_; }

 private:
  using Clock = std::chrono::steady_clock;
  void show(Clock::time_point now, bool last);

  std::string task_, item_;
  uint64_t total_ = 0, done_ = 0;
  ProgressUnit unit_;
  Clock::time_point start_, shown_;
  bool tty_ = false, silent_ = false, visible_ = false;
};

/// The text of one progress line, without the carriage return: "reading weights  1.20 of 4.78 GiB  25%  310.00 MiB/s  12 s left".
std::string progress_line(std::string_view task, uint64_t done, uint64_t total, ProgressUnit unit, double seconds);

}  // namespace espalier
