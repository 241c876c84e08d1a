#pragma once
// report.html: what a finished run made, on one page that needs nothing but a browser.

#include "core/train/write_run.h"

namespace espalier::report {

/// Writes RUN/report.html: sizes and speed before and after, pictures, loss curves, the loss by layer over a drawing of the UNet,
/// what happened at each stage, the resolved recipe. Its pictures are kept as files too (kept_pictures.h).
///
/// Guarantees: made from the run's own files and what is handed in, so that a resumed run gives the same page but for the
/// milliseconds measured; whole or not at all.
/// Errors: UserError (a file of the run, the cache); those of running the models; Interrupted.
/// Cost: some forward passes of teacher and student, and pictures where the data can be decoded.
void write_report(const train::FinishedRun& run);

/// The same of a run that came to its end before, read back from its folder: its resolved recipe and its last checkpoint.
/// Errors: UserError when the run is not finished, or its checkpoint, teacher or data are gone; those of write_report.
void write_report_again(const std::filesystem::path& run, const train::Services& services);

}  // namespace espalier::report
