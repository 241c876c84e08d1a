// Numbers are written as in metrics.jsonl. A run of more than kMostPoints steps is thinned to means, and the page says so.

#include "core/report/curves.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/text.h"
#include "core/report/markup.h"

namespace espalier::report {
namespace {

constexpr size_t kMostPoints = 800;

template <typename T, typename F>
std::string json_array(const std::vector<T>& items, const F& text) {
  std::string out = "[";
  for (const T& item : items) out += (out.size() > 1 ? "," : "") + text(item);
  return out + "]";
}

std::string json_table(const Table& table) {
  const auto number = [](float value) { return std::isnan(value) ? std::string("null") : exact(value); };
  return "{\"keys\":" + json_array(table.keys, json_text) +
         ",\"steps\":" + json_array(table.steps, [](int64_t step) { return std::to_string(step); }) + ",\"columns\":" +
         json_array(table.columns, [&](const std::vector<float>& column) { return json_array(column, number); }) + "}";
}

std::vector<int64_t> stage_starts(const Facts& facts) {
  std::vector<int64_t> starts;
  for (const StageFacts& stage : facts.stages) starts.push_back(stage.first_step);
  return starts;
}

/// The last number of a column, or nothing.
std::string last_of(const std::vector<float>* column) {
  if (column != nullptr)
    for (size_t row = column->size(); row-- > 0;)
      if (!std::isnan((*column)[row])) return exact((*column)[row]);
  return "–";
}

std::string first_of(const std::vector<float>& column) {
  for (const float value : column)
    if (!std::isnan(value)) return exact(value);
  return "–";
}

std::string terms_table(const Facts& facts) {
  const RunMetrics& metrics = facts.metrics;
  std::string text =
      "<details class=\"more\"><summary>Every term, first and last step</summary><div class=\"scroll\"><table>"
      "<thead><tr><th>term</th><th class=\"num\">first step</th><th class=\"num\">last step</th>"
      "<th class=\"num\">held out, last</th></tr></thead><tbody>\n";
  for (size_t key = 0; key < metrics.training.keys.size(); ++key) {
    const std::string& name = metrics.training.keys[key];
    const std::vector<float>& column = metrics.training.columns[key];
    text += fmt::format(
        "<tr><td class=\"path\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>\n",
        escaped(name), first_of(column), last_of(&column), last_of(metrics.held_out.find(name)));
  }
  return text + "</tbody></table></div></details>\n";
}

}  // namespace

std::string curves_json(const Facts& facts) {
  const ThinTable training = thinned(facts.metrics.training, kMostPoints, stage_starts(facts));
  std::string stages = json_array(facts.stages, [](const StageFacts& stage) {
    return fmt::format("{{\"from\":{},\"to\":{},\"stage\":{},\"attempt\":{},\"kept\":{}}}", stage.first_step, stage.end_step,
                       stage.stage, stage.attempt, stage.kept);
  });
  return fmt::format("{{\"window\":{},\"training\":{},\"held_out\":{},\"stages\":{}}}", training.window,
                     json_table(training.table), json_table(facts.metrics.held_out), stages);
}

std::string curves_section(const Facts& facts) {
  if (facts.metrics.training.steps.empty()) return "<section id=\"losses\"><h2>Losses</h2><p>No step was made.</p></section>\n";
  const ThinTable thin = thinned(facts.metrics.training, kMostPoints, stage_starts(facts));
  std::string note = "Terms are shown before their weight, the total after. ";
  if (thin.window > 1) note += fmt::format("Each point is the mean of {} steps. ", thin.window);
  if (!facts.metrics.held_out.steps.empty()) note += "Rings are held-out rows.";
  return "<section id=\"losses\"><div class=\"bar\"><h2>Losses</h2><div class=\"controls\">"
         "<span class=\"choice\" id=\"axis\"><button type=\"button\" data-axis=\"log\">log</button>"
         "<button type=\"button\" data-axis=\"linear\">linear</button></span>"
         "<label>smoothing <input id=\"smooth\" type=\"range\" min=\"0\" max=\"0.98\" step=\"0.02\" value=\"0\"/>"
         "<output id=\"smooth-value\">0</output></label></div></div>\n<p class=\"note\">" +
         note +
         "</p>\n<noscript><p>The curves are drawn by a script in this page; the table below has the numbers.</p></noscript>\n"
         "<div id=\"legend\" class=\"lines\"></div><div id=\"main-chart\"></div>\n"
         "<div id=\"groups\"></div>\n" +
         terms_table(facts) + "</section>\n";
}

}  // namespace espalier::report
