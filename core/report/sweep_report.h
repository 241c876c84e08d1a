#pragma once
// report.html of a sweep: its trials side by side, on one page that needs nothing but a browser.

#include "core/sweep/results.h"

namespace espalier::report {

/// Writes DIR/report.html: the best setting and by how much, pictures, every trial, the objective by each thing that varies, loss
/// curves, the sweep file. For a sweep that is still running too.
///
/// Guarantees: made from `results` and the trials' own files, so that the same ones give the same bytes; whole or not at all.
/// Trials whose pictures or metrics cannot be read are named on the page. Errors: UserError of the file system.
/// Cost: reads the metrics of 60 trials and the pictures of 24.
void write_sweep_report(const sweep::Results& results);

}  // namespace espalier::report
