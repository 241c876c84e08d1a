// Nothing is shown before two seconds have passed, so that quick commands stay silent.

#include "core/base/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "core/base/alive.h"
#include "core/base/log.h"
#include "core/base/terminal.h"
#include "core/base/text.h"

namespace espalier {
namespace {

constexpr auto kBeforeFirst = std::chrono::seconds(2);
constexpr auto kOnTerminal = std::chrono::milliseconds(100);
constexpr auto kElsewhere = std::chrono::seconds(10);

std::string amount(double value, ProgressUnit unit) {
  if (unit == ProgressUnit::kBytes) return human_bytes(static_cast<uint64_t>(value));
  char text[32];
  std::snprintf(text, sizeof text, value < 100 && value != std::floor(value) ? "%.1f" : "%.0f", value);
  return text;
}

std::string duration(double seconds) {
  const long whole = std::lround(seconds);
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

void put(const std::string& text) { [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size()); }

}  // namespace

std::string progress_line(std::string_view task, uint64_t done, uint64_t total, ProgressUnit unit, double seconds) {
  std::string text(task);
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  text += "  " + amount(static_cast<double>(done), unit);
  if (total > 0) {
    text += " of " + amount(static_cast<double>(total), unit);
    text += "  " + std::to_string(done * 100 / total) + "%";
  }
  if (rate > 0) text += "  " + amount(rate, unit) + "/s";
  if (rate > 0 && total > done) text += "  " + duration(static_cast<double>(total - done) / rate) + " left";
  return text;
}

Progress::Progress(std::string task, uint64_t total, ProgressUnit unit)
    : task_(std::move(task)),
      total_(total),
      unit_(unit),
      start_(Clock::now()),
      shown_(start_),
      tty_(terminal::stderr_is_tty()),
      silent_(log::quiet()) {}

Progress::~Progress() {
  if (!visible_) return;
  if (tty_)
    put("\r\x1b[K");
  else
    show(Clock::now(), true);
}

void Progress::add(uint64_t amount, std::string_view item) {
  done_ += amount;
  sign_of_life();
  if (silent_) return;
  const Clock::time_point now = Clock::now();
  if (now - start_ < kBeforeFirst ||
      (visible_ && now - shown_ < (tty_ ? Clock::duration(kOnTerminal) : Clock::duration(kElsewhere))))
    return;
  item_ = item;
  show(now, false);
}

void Progress::show(Clock::time_point now, bool last) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string line = progress_line(task_, done_, total_, unit_, seconds);
  if (last)
    line = task_ + "  " + amount(static_cast<double>(done_), unit_) + " in " + duration(seconds);
  else if (!item_.empty())
    line += "  " + item_;
  if (tty_) {
    const size_t limit = terminal::width() - 1;
    if (line.size() > limit) line.resize(limit);
    put("\r" + line + "\x1b[K");
  } else {
    put("espalier: " + line + "\n");
  }
  shown_ = now;
  visible_ = true;
}

}  // namespace espalier
