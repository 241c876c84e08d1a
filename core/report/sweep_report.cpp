#include "core/report/sweep_report.h"

#include "core/base/files.h"
#include "core/report/sweep_curves.h"
#include "core/report/sweep_facts.h"
#include "core/report/sweep_pictures.h"

namespace espalier::report {

void write_sweep_report(const sweep::Results& results) {
  SweepFacts facts = sweep_facts(results);
  for (const sweep::TrialResult& row : results.trials) {
    const std::string page = "trials/" + row.trial.id + "/report.html";
    facts.pages.push_back(std::filesystem::is_regular_file(results.folder / page) ? page : "");
  }
  facts.pictures = read_sweep_pictures(facts);
  facts.curves = read_sweep_curves(facts);
  write_text(results.folder / "report.html", to_html(facts));
}

}  // namespace espalier::report
