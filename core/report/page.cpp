#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"
#include "core/report/curves.h"
#include "core/report/facts.h"
#include "core/report/markup.h"
#include "core/report/page_parts.h"
#include "core/report/unet_map.h"

namespace espalier::report {
namespace {

/// One figure before and after, with two bars. `smaller`: what is good about a small one.
std::string card(const std::string& what, double before, double after, const std::string& before_text,
                 const std::string& after_text, const std::string& note) {
  const double most = std::max(before, after);
  const auto bar = [&](const char* cls, double value) {
    return fmt::format("<i class=\"{}\" style=\"width:{:.1f}%\"></i>", cls, most > 0 ? 100 * value / most : 0);
  };
  std::string text = "<div class=\"card\"><span>" + what + "</span><b>";
  if (!before_text.empty()) text += "<small>" + before_text + " →</small> ";
  text += after_text + "</b><div class=\"bars\">";
  if (!before_text.empty()) text += bar("was", before);
  return text + bar("is", after) + "</div><span>" + note + "</span></div>\n";
}

std::string headline(const Facts& facts) {
  const ModelFacts& after = facts.after;
  if (!facts.before) return fmt::format("A UNet of {} parameters", counted(static_cast<double>(after.parameters)));
  const ModelFacts& before = *facts.before;
  std::string text =
      percent(static_cast<double>(after.parameters), static_cast<double>(before.parameters)) + " of the parameters";
  if (before.forward_ms > 0 && after.forward_ms > 0)
    text += fmt::format(", {:.2f} times as fast", before.forward_ms / after.forward_ms);
  return text;
}

std::string lede(const Facts& facts) {
  const auto trained = fmt::format("{} of {}", plural(facts.steps, "step"), plural(facts.samples_per_step, "sample"));
  if (!facts.before) return fmt::format("Trained from its structure alone: {}.", trained);
  const auto taken = static_cast<int64_t>(facts.removed.size());
  std::string text = fmt::format("A smaller <b>{}</b>: {} removed", escaped(facts.before->name), plural(taken, "block"));
  if (facts.stages.size() > 1) {
    const int64_t stages = 1 + std::max_element(facts.stages.begin(), facts.stages.end(), [](const auto& a, const auto& b) {
                                 return a.stage < b.stage;
                               })->stage;
    text += fmt::format(" in {}", plural(stages, "stage"));
  }
  return text + fmt::format(", {} over {}.", facts.has_teacher ? "distilled" : "trained", trained);
}

std::string cards(const Facts& facts) {
  const ModelFacts& after = facts.after;
  const ModelFacts before = facts.before.value_or(ModelFacts{});
  const auto left = [&](double was, double is) { return facts.before ? percent(is, was) + " left" : std::string(); };
  const auto was = [&](const std::string& text) { return facts.before ? text : std::string(); };
  const auto of = [](int64_t count) { return static_cast<double>(count); };
  std::string text = "<div class=\"cards\">\n";
  text += card("Parameters", of(before.parameters), of(after.parameters), was(counted(of(before.parameters))),
               counted(of(after.parameters)), left(of(before.parameters), of(after.parameters)));
  text += card("FLOPs of one sample", before.flops, after.flops, was(counted(before.flops)), counted(after.flops),
               left(before.flops, after.flops));
  text += card("Weights", of(static_cast<int64_t>(before.weight_bytes)), of(static_cast<int64_t>(after.weight_bytes)),
               was(human_bytes(before.weight_bytes)), human_bytes(after.weight_bytes),
               facts.before && before.dtype != after.dtype ? escaped(before.dtype + " → " + after.dtype) : escaped(after.dtype));
  text += card(fmt::format("Forward of a batch of {}", facts.batch), before.forward_ms, after.forward_ms,
               before.forward_ms > 0 ? duration(before.forward_ms) : "", duration(after.forward_ms),
               left(before.forward_ms, after.forward_ms));
  return text + "</div>\n";
}

std::string badge(const StageFacts& stage) {
  const std::string& outcome = stage.outcome;
  const bool good = stage.kept && outcome.rfind("not met", 0) != 0;
  return fmt::format("<span class=\"badge {}\">{}</span>", good ? "yes" : "no", escaped(outcome));
}

std::string removed_list(const StageFacts& stage) {
  if (stage.removed.empty()) return "<span class=\"soft\">nothing</span>";
  std::string text = fmt::format("<details class=\"list\"><summary>{}</summary><ul>",
                                 plural(static_cast<int64_t>(stage.removed.size()), "block"));
  for (const std::string& path : stage.removed) text += "<li class=\"path\">" + escaped(path) + "</li>";
  return text + "</ul></details>";
}

std::string stages_section(const Facts& facts) {
  std::string text =
      "<section id=\"stages\"><h2>Stages</h2>\n<div class=\"scroll\"><table><thead><tr><th>stage</th><th>removed</th>"
      "<th class=\"num\">parameters after</th><th class=\"num\">steps</th><th>gate</th><th class=\"num\">value</th>"
      "<th>what happened</th></tr></thead><tbody>\n";
  for (const StageFacts& stage : facts.stages) {
    const std::string steps =
        stage.end_step > stage.first_step ? fmt::format("{} to {}", stage.first_step, stage.end_step - 1) : "none";
    text += fmt::format(
        "<tr{}><td>{}{}</td><td>{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td>{}</td><td class=\"num\">{}</td>"
        "<td>{}</td></tr>\n",
        stage.kept ? "" : " class=\"undone\"", stage.stage + 1,
        stage.attempt > 0
            ? fmt::format(", attempt {}<br/><span class=\"soft\">{} of its removals</span>", stage.attempt + 1,
                          stage.attempt == 1 ? "half" : fmt::format("1/{}", int64_t{1} << std::min<int64_t>(stage.attempt, 62)))
            : "",
        removed_list(stage), with_commas(stage.parameters), steps,
        stage.gate.empty() ? "<span class=\"soft\">none</span>" : escaped(stage.gate), stage.value ? rounded(*stage.value) : "",
        badge(stage));
  }
  text += "</tbody></table></div>\n";
  std::string before;
  for (const auto& [path, stage] : facts.removed)
    if (stage < 0) before += "<li class=\"path\">" + escaped(path) + "</li>";
  if (!before.empty())
    text += "<details class=\"more\"><summary>Removed before this run</summary><ul>" + before + "</ul></details>\n";
  return text + "</section>\n";
}

std::string map_section(const Facts& facts) {
  const auto losses = block_losses(facts);
  std::string text = "<section id=\"layers\" data-view=\"abs\"><div class=\"bar\"><h2>Loss by layer</h2>";
  if (!losses.empty())
    text +=
        "<span class=\"choice\" id=\"view\"><button type=\"button\" data-shows=\"abs\">last loss</button>"
        "<button type=\"button\" data-shows=\"rel\">last by first</button></span>";
  text += "</div>\n<p class=\"note\">";
  text += losses.empty()
              ? "No loss of this run compares layers; the drawing shows what was removed."
              : "Each block has the colour of the term that compares its output with the teacher's. Point at one for its "
                "numbers; a click shows its curve.";
  return text + "</p>\n" + draw_unet(facts, losses) + "</section>\n";
}

std::string pictures_section(const Facts& facts) {
  const PictureFacts& pictures = facts.pictures;
  std::string text = "<section id=\"pictures\"><h2>Pictures</h2>\n";
  if (!pictures.why_none.empty()) return text + "<p class=\"note\">None: " + escaped(pictures.why_none) + ".</p></section>\n";
  text += fmt::format("<p class=\"note\">{}; every model starts from the same noise: {}.</p>\n", escaped(pictures.rows),
                      escaped(pictures.settings));
  for (const PictureColumn& column : pictures.columns)
    if (!column.fault.empty())
      text += fmt::format("<p class=\"note\">{}: not drawn, {}.</p>\n", escaped(column.name), escaped(column.fault));
  text += "<div class=\"gallery\">\n";
  for (size_t row = 0; row < pictures.captions.size(); ++row) {
    text += "<figure><figcaption>" + escaped(pictures.captions[row]) + "</figcaption><div class=\"strip\">";
    for (const PictureColumn& column : pictures.columns) {
      if (column.pngs.empty()) continue;
      text += fmt::format("<div><img alt=\"{} by {}\" src=\"{}\"/><span>{}</span></div>", escaped(pictures.captions[row]),
                          escaped(column.name), data_uri("image/png", column.pngs[row]), escaped(column.name));
    }
    text += "</div></figure>\n";
  }
  return text + "</div></section>\n";
}

std::string sizes_section(const Facts& facts) {
  const ModelFacts& after = facts.after;
  std::string text = "<section id=\"sizes\"><h2>Size and speed</h2>\n<div class=\"scroll\"><table><thead><tr><th></th>";
  if (facts.before) text += "<th class=\"num\">" + escaped(facts.before->name) + "</th>";
  text += "<th class=\"num\">student</th>";
  if (facts.before) text += "<th class=\"num\">left</th>";
  text += "</tr></thead><tbody>\n";
  const auto row = [&](const std::string& what, double was, double is, const std::string& was_text, const std::string& is_text) {
    text += "<tr><td>" + what + "</td>";
    if (facts.before) text += "<td class=\"num\">" + was_text + "</td>";
    text += "<td class=\"num\">" + is_text + "</td>";
    if (facts.before) text += "<td class=\"num\">" + percent(is, was) + "</td>";
    text += "</tr>\n";
  };
  const ModelFacts before = facts.before.value_or(ModelFacts{});
  const auto count = [&](const std::string& what, int64_t was, int64_t is) {
    row(what, static_cast<double>(was), static_cast<double>(is), with_commas(was), with_commas(is));
  };
  count("parameters", before.parameters, after.parameters);
  count("tensors", before.tensors, after.tensors);
  count("resnets", before.resnets, after.resnets);
  count("attention modules", before.attentions, after.attentions);
  count("transformer blocks", before.transformer_blocks, after.transformer_blocks);
  row(fmt::format("FLOPs of one sample, {}×{}, {} tokens", facts.height, facts.width, facts.tokens), before.flops, after.flops,
      counted(before.flops), counted(after.flops));
  const auto bytes = [](const ModelFacts& model) { return human_bytes(model.weight_bytes) + " as " + escaped(model.dtype); };
  row("weights", static_cast<double>(before.weight_bytes), static_cast<double>(after.weight_bytes), bytes(before), bytes(after));
  const auto time = [](const ModelFacts& model) {
    return model.forward_ms > 0 ? fmt::format("{} <span class=\"soft\">(at most {})</span>", duration(model.forward_ms),
                                              duration(model.slowest_forward_ms))
                                : "–";
  };
  row(fmt::format("forward of a batch of {}", facts.batch), before.forward_ms, after.forward_ms, time(before), time(after));
  const auto rate = [&](const ModelFacts& model) {
    return model.forward_ms > 0 ? human_count(model.flops * static_cast<double>(facts.batch) / model.forward_ms * 1000) + "FLOP/s"
                                : "–";
  };
  text += "<tr><td>rate of that</td>";
  if (facts.before) text += "<td class=\"num\">" + rate(before) + "</td>";
  text += "<td class=\"num\">" + rate(after) + "</td>" + (facts.before ? "<td></td>" : "") + "</tr>\n";
  for (size_t i = 0; i < after.loaders.size(); ++i) {
    const auto verdict = [](const model::LoaderVerdict& loader) {
      if (loader.opens) return "yes" + (loader.as.empty() ? "" : " <span class=\"soft\">as " + escaped(loader.as) + "</span>");
      return fmt::format("<span title=\"{}\">no</span>", escaped(loader.reason));
    };
    text += "<tr><td>opens in " + escaped(after.loaders[i].loader) + "</td>";
    if (facts.before) text += "<td class=\"num\">" + (i < before.loaders.size() ? verdict(before.loaders[i]) : "") + "</td>";
    text += "<td class=\"num\">" + verdict(after.loaders[i]) + "</td>" + (facts.before ? "<td></td>" : "") + "</tr>\n";
  }
  text += "</tbody></table></div>\n";
  return text + fmt::format(
                    "<p class=\"note\">A forward is the median of {} on {}, latents {}×{}×{}, after one that is not "
                    "counted.</p></section>\n",
                    facts.forwards, escaped(facts.backend), facts.height, facts.width, facts.channels);
}

std::string recipe_section(const Facts& facts) {
  std::string text = "<section id=\"recipe\"><h2>To make it again</h2>\n<dl>\n";
  for (const auto& [name, value] : facts.lineage) text += "<dt>" + escaped(name) + "</dt><dd>" + escaped(value) + "</dd>\n";
  return text + "</dl>\n<details class=\"more\"><summary>The resolved recipe</summary><pre>" + escaped(facts.recipe) +
         "</pre></details></section>\n";
}

}  // namespace

std::string to_html(const Facts& facts) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>" +
      escaped(facts.run) + ": espalier report</title>\n<style>\n";
  page += kStyle;
  page += "</style>\n</head>\n<body>\n<main>\n<header><div class=\"run\">" + escaped(facts.run) + "</div><h1>" + headline(facts) +
          "</h1><p>" + lede(facts) + "</p></header>\n";
  page += cards(facts) + pictures_section(facts) + curves_section(facts) + map_section(facts) + stages_section(facts) +
          sizes_section(facts) + recipe_section(facts);
  page +=
      "</main>\n<div id=\"tip\" role=\"tooltip\" hidden=\"hidden\"></div>\n<svg id=\"svg\" width=\"0\" height=\"0\"></svg>\n"
      "<script type=\"application/json\" id=\"data\">" +
      curves_json(facts) + "</script>\n<script>\n";
  page += kScriptTools;
  page += kScript;
  return page + "</script>\n</body>\n</html>\n";
}

}  // namespace espalier::report
