#include <fmt/format.h>

#include "core/base/text.h"
#include "core/report/markup.h"
#include "core/report/page_parts.h"
#include "core/report/sweep_axes.h"
#include "core/report/sweep_curves.h"
#include "core/report/sweep_facts.h"
#include "core/report/sweep_pictures.h"
#include "core/report/sweep_table.h"

namespace espalier::report {
namespace {

struct Counts {
  int64_t complete = 0, pruned = 0, failed = 0, left = 0;
};

Counts count(const SweepFacts& facts) {
  Counts counts;
  for (const sweep::TrialResult& row : facts.results.trials) {
    const std::string& state = row.outcome.state;
    ++(state == "complete" ? counts.complete
       : state == "pruned" ? counts.pruned
       : state == "failed" ? counts.failed
                           : counts.left);
  }
  return counts;
}

std::string headline(const SweepFacts& facts) {
  if (facts.settings.empty() || facts.settings[0].spread.count == 0) return "No result yet";
  const SettingFacts& best = facts.settings[0];
  std::string text = fmt::format("Best: {}, {} {}", escaped(best.label), escaped(facts.results.rules.objective.metric),
                                 with_spread(best.spread.mean, best.spread.deviation));
  return text;
}

std::string lede(const SweepFacts& facts) {
  std::string text;
  if (!facts.settings.empty() && facts.settings[0].spread.count > 0) {
    const SettingFacts& best = facts.settings[0];
    const auto complete = static_cast<int64_t>(best.spread.count), all = static_cast<int64_t>(best.trials.size());
    if (all == 1)
      text = "One trial, without repeats. ";
    else if (complete == all)
      text = fmt::format("Mean ± sample deviation of {}. ", plural(all, "repeat"));
    else
      text = fmt::format("{} {} of its {} repeats complete so far. ",
                         complete == 1 ? "The value of the one" : "Mean ± sample deviation of the", complete, all);
  }
  return text + escaped(verdict(facts));
}

std::string about(const SweepFacts& facts) {
  const Counts counts = count(facts);
  std::vector<std::string> axes;
  for (const Axis& axis : facts.axes) axes.push_back(fmt::format("<b>{}</b> ({})", escaped(axis.label), axis.values.size()));
  std::string text = fmt::format("{}: {} complete, {} pruned, {} failed, {} left. ",
                                 plural(static_cast<int64_t>(facts.results.trials.size()), "trial"), counts.complete,
                                 counts.pruned, counts.failed, counts.left);
  if (!axes.empty()) text += "What varies: " + join(axes, ", ") + ". ";
  const sweep::Objective& objective = facts.results.rules.objective;
  return text +
         fmt::format("Objective: <b>{}</b>, {} is better.", escaped(objective.metric), objective.maximize ? "more" : "less");
}

std::string file_section(const SweepFacts& facts) {
  return "<section id=\"file\"><h2>The numbers, and the sweep file</h2>\n<p class=\"note\"><a href=\"trials.csv\">trials.csv</a> "
         "has a row for "
         "each trial, a column for each setting and number; <a href=\"trials.jsonl\">trials.jsonl</a> has every metric "
         "unrounded. The curves are "
         "in <span class=\"path\">trials/ID/metrics.jsonl</span>, the recipe of a trial in <span "
         "class=\"path\">trials/ID/recipe.resolved.toml"
         "</span>. This page is written again by <span class=\"path\">espalier report DIR</span>.</p>\n<pre>" +
         escaped(facts.results.sweep_text) + "</pre></section>\n";
}

}  // namespace

std::string to_html(const SweepFacts& facts) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>" +
      escaped(facts.name) + ": espalier sweep</title>\n<style>\n";
  page += kStyle;
  page += kSweepStyle;
  page += "</style>\n</head>\n<body>\n<main>\n<header><div class=\"run\">" + escaped(facts.name) + ", a sweep</div><h1>" +
          headline(facts) + "</h1><p class=\"verdict\">" + lede(facts) + "</p><p>" + about(facts) + "</p></header>\n";
  page += pictures_section(facts) + table_section(facts) + axes_section(facts) + parallel_section(facts) + curves_section(facts) +
          file_section(facts);
  page +=
      "</main>\n<div id=\"tip\" role=\"tooltip\" hidden=\"hidden\"></div>\n<svg id=\"svg\" width=\"0\" height=\"0\"></svg>\n"
      "<script type=\"application/json\" id=\"data\">" +
      sweep_json(facts) + "</script>\n<script>\n";
  for (const std::string_view part : {kScriptTools, kSweepTableScript, kSweepParallelScript, kSweepCurvesScript}) page += part;
  return page + "</script>\n</body>\n</html>\n";
}

}  // namespace espalier::report
