// The handler does nothing but async-signal-safe work: atomics, write, _exit.

#include "core/base/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "core/base/alive.h"

namespace espalier {
namespace {

std::atomic<bool> g_requested{false};
std::atomic<int> g_guards{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void handle(int) {
  const bool again = g_requested.exchange(true);
  if (g_guards.load() > 0 && !again) return;
  constexpr char kText[] = "\nespalier: interrupted\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(3);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = handle;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction hang_up = {};
  sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // nohup stays what it is
  struct sigaction child = {};
  child.sa_handler = SIG_DFL;  // ignored by whoever started us, ends of children could not be asked for
  sigaction(SIGCHLD, &child, nullptr);
}

bool interrupt_requested() { return g_requested.load(); }

void check_interrupt() {
  sign_of_life();
  if (g_requested.load()) throw Interrupted("interrupted");
}

InterruptGuard::InterruptGuard() { ++g_guards; }
InterruptGuard::~InterruptGuard() { --g_guards; }

}  // namespace espalier
