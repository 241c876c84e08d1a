#include "core/report/report.h"

namespace espalier::report {
void write_report(const train::FinishedRun&) {}
}  // namespace espalier::report
