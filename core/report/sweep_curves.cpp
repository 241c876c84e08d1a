#include "core/report/sweep_curves.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/report/markup.h"

namespace espalier::report {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostLines = 60, kMostPoints = 200;

/// Losses of one feature are named LOSS/PATH: too many to choose from.
bool is_shown(const std::string& key) { return key.find('/') == std::string::npos && key != "grad_norm"; }

std::string number(double value) { return std::isfinite(value) ? fmt::format("{:.4g}", value) : "null"; }

template <typename T, typename F>
std::string array(const std::vector<T>& items, const F& text) {
  std::string out = "[";
  for (const T& item : items) out += (out.size() > 1 ? "," : "") + text(item);
  return out + "]";
}

std::string table_json(const Table& table) {
  std::string text = "{\"steps\":" + array(table.steps, [](int64_t step) { return std::to_string(step); });
  for (size_t key = 0; key < table.keys.size(); ++key)
    text += "," + json_text("=" + table.keys[key]) + ":" + array(table.columns[key], number);
  return text + "}";
}

std::string trial_json(const SweepFacts& facts, size_t i, size_t place) {
  const sweep::TrialResult& row = facts.results.trials[i];
  std::string of;
  for (const Axis& axis : facts.axes) of += (of.empty() ? "" : ",") + std::to_string(axis.of[i]);
  return fmt::format("{{\"label\":{},\"seed\":{},\"state\":{},\"place\":{},\"objective\":{},\"parameters\":{},\"of\":[{}]}}",
                     json_text(facts.labels[i]), json_text(facts.seeds[i]), json_text(row.outcome.state),
                     facts.complete(i) ? std::to_string(place) : "null",
                     facts.objective[i] ? number(*facts.objective[i]) : "null", row.outcome.parameters, of);
}

std::string axis_json(const Axis& axis) {
  const auto exact_number = [](double value) { return fmt::format("{}", value); };
  return fmt::format("{{\"label\":{},\"log\":{},\"values\":{},\"numbers\":{}}}", json_text(axis.label), axis.log,
                     array(axis.values, json_text), axis.numeric() ? array(axis.numbers, exact_number) : "null");
}

}  // namespace

SweepCurves read_sweep_curves(const SweepFacts& facts) {
  SweepCurves curves;
  size_t left_out = 0, broken = 0;
  std::string fault;
  for (const size_t i : facts.order) {
    const fs::path file = facts.results.folder / "trials" / facts.results.trials[i].trial.id / "metrics.jsonl";
    if (!fs::is_regular_file(file)) continue;
    if (curves.trials.size() >= kMostLines) {
      ++left_out;
      continue;
    }
    try {
      const RunMetrics all = read_metrics(file, {.growing = true, .wanted = is_shown});
      ThinTable training = thinned(all.training, kMostPoints, {});
      curves.trials.push_back({i, {std::move(training.table), thinned(all.held_out, kMostPoints, {}).table}, training.window});
    } catch (const UserError& error) {
      ++broken;
      fault = error.what();
    }
  }
  if (left_out > 0)
    curves.notes.push_back(fmt::format("{} more {} not drawn: these are the {} best", left_out,
                                       left_out == 1 ? "trial is" : "trials are", kMostLines));
  if (broken > 0)
    curves.notes.push_back(
        fmt::format("the metrics of {} cannot be read: {}", plural(static_cast<int64_t>(broken), "trial"), fault));
  return curves;
}

std::string sweep_json(const SweepFacts& facts) {
  std::vector<size_t> place(facts.order.size());
  for (size_t at = 0; at < facts.order.size(); ++at) place[facts.order[at]] = at;
  std::string trials;
  for (size_t i = 0; i < facts.order.size(); ++i) trials += (i > 0 ? ",\n" : "") + trial_json(facts, i, place[i]);
  const std::string lines = array(facts.curves.trials, [](const TrialCurves& each) {
    return fmt::format("\n{{\"trial\":{},\"training\":{},\"held\":{}}}", each.trial, table_json(each.metrics.training),
                       table_json(each.metrics.held_out));
  });
  const sweep::Objective& objective = facts.results.rules.objective;
  return fmt::format("{{\"objective\":{},\"maximize\":{},\n\"axes\":{},\n\"trials\":[{}],\n\"lines\":{}}}",
                     json_text(objective.metric), objective.maximize, array(facts.axes, axis_json), trials, lines);
}

std::string curves_section(const SweepFacts& facts) {
  std::string text = "<section id=\"losses\"><div class=\"bar\"><h2>Loss curves</h2>";
  if (facts.curves.trials.empty() && facts.curves.notes.empty())
    return text + "</div><p class=\"note\">No trial has made a step.</p></section>\n";
  size_t window = 1;
  for (const TrialCurves& each : facts.curves.trials) window = std::max(window, each.window);
  std::string note = "One line is one trial; terms are shown before their weight. ";
  if (window > 1) note += fmt::format("Each point is the mean of up to {} steps. ", window);
  for (const std::string& line : facts.curves.notes) note += escaped(line) + ". ";
  return text +
         "<div class=\"controls\"><label>metric <select id=\"metric\"></select></label><label>colour <select "
         "id=\"by\"></select></label>"
         "<span class=\"choice\"><button type=\"button\" data-axis=\"log\">log</button>"
         "<button type=\"button\" data-axis=\"linear\">linear</button></span>"
         "<label>smoothing <input id=\"smooth\" type=\"range\" min=\"0\" max=\"0.98\" step=\"0.02\" value=\"0\"/>"
         "<output id=\"smooth-value\">off</output></label></div></div>\n<p class=\"note\">" +
         note +
         "</p>\n<noscript><p>The curves are drawn by a script in this page.</p></noscript>\n"
         "<div id=\"legend\" class=\"lines\"></div><div id=\"main-chart\"></div></section>\n";
}

}  // namespace espalier::report
