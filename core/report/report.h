#pragma once
// report.html: what a finished run made, on one page that needs nothing but a browser.

#include "core/train/write_run.h"

namespace espalier::report {

/// Writes RUN/report.html.
void write_report(const train::FinishedRun& run);

}  // namespace espalier::report
