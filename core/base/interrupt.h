#pragma once
// Ctrl-C. A command that holds nothing half-done ends at once with exit code 3; one that has temporary files or a run to
// keep guards that stretch with an InterruptGuard and asks `check_interrupt` at its own safe points.

#include "core/base/error.h"

namespace espalier {

/// The user asked to stop. Exit code 3.
class Interrupted : public Error {
 public:
  using Error::Error;
  int exit_code() const override { return 3; }
};

/// Installs the handler of SIGINT, SIGTERM and (but under nohup) SIGHUP. Called once by main.
void catch_interrupts();
/// Whether a signal has arrived. [any thread]
bool interrupt_requested();
/// A sign of life (alive.h). Errors: Interrupted when a signal has arrived.
void check_interrupt();

/// While one lives, a first signal only sets the flag; a second one ends the process.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

}  // namespace espalier
