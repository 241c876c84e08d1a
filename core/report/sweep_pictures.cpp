// A row has the trial with the setting's first seed: rows differ in nothing but the setting.

#include "core/report/sweep_pictures.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/report/kept_pictures.h"
#include "core/report/markup.h"

namespace espalier::report {
namespace {

constexpr size_t kMostRows = 24;
constexpr size_t kMostBytes = size_t{3} << 20;  // of files; as text of the page a third more

size_t bytes_of(const PictureColumn& column) {
  size_t bytes = 0;
  for (const std::string& png : column.pngs) bytes += png.size();
  return bytes;
}

/// The student as the run leaves it: the average where it has one.
PictureColumn last_student(const PictureFacts& pictures) {
  for (size_t i = pictures.columns.size(); i-- > 0;)
    if (pictures.columns[i].name.rfind("student", 0) == 0) return pictures.columns[i];
  return {"student", "it was not drawn", {}};
}

const PictureColumn* column_named(const PictureFacts& pictures, const std::string& name) {
  for (const PictureColumn& column : pictures.columns)
    if (column.name == name && !column.pngs.empty()) return &column;
  return nullptr;
}

/// Takes over what all rows share from the first run that has pictures.
void begin_with(SweepPictures& grid, const PictureFacts& pictures) {
  grid.captions = pictures.captions;
  grid.rows = pictures.rows;
  grid.settings = pictures.settings;
  for (const char* name : {"the data", "teacher"})
    if (const PictureColumn* column = column_named(pictures, name)) grid.first.push_back(*column);
}

bool same_teacher(const SweepPictures& grid, const PictureFacts& pictures) {
  for (const PictureColumn& first : grid.first)
    if (const PictureColumn* column = column_named(pictures, first.name); column == nullptr || column->pngs != first.pngs)
      return false;
  return true;
}

void note(std::vector<std::string>& notes, size_t count, const std::string& what) {
  if (count > 0) notes.push_back(fmt::format("{}: {}", plural(static_cast<int64_t>(count), "setting"), what));
}

std::string row_of(const std::string& label, const std::string& under, const PictureColumn& column,
                   const std::vector<std::string>& captions) {
  std::string text = "<div class=\"shown\"><div class=\"of\"><b>" + label + "</b>" + under + "</div>";
  for (size_t k = 0; k < captions.size() && k < column.pngs.size(); ++k)
    text +=
        fmt::format("<img alt=\"{0}\" title=\"{0}\" src=\"{1}\"/>", escaped(captions[k]), data_uri("image/png", column.pngs[k]));
  return text + "</div>\n";
}

std::string row_of(const SweepFacts& facts, const TrialPictures& row) {
  const size_t i = row.trial;
  std::string under;
  if (facts.objective[i])
    under = fmt::format("<span>{} {}</span>", escaped(facts.results.rules.objective.metric), rounded(*facts.objective[i]));
  if (!row.column.fault.empty()) under += "<span class=\"fault\">not drawn, " + escaped(row.column.fault) + "</span>";
  if (row.column.name != "student") under += "<span>" + escaped(row.column.name) + "</span>";
  std::string label = escaped(facts.labels[i]);
  if (!facts.pages[i].empty()) label = "<a href=\"" + escaped(facts.pages[i]) + "\">" + label + "</a>";
  return row_of(label, under, row.column, facts.pictures.captions);
}

}  // namespace

SweepPictures read_sweep_pictures(const SweepFacts& facts) {
  SweepPictures grid;
  bool complete = false;
  size_t bytes = 0, without = 0, other_captions = 0, too_many = 0, other_teacher = 0;
  std::string why;
  for (const SettingFacts& setting : facts.settings) {
    const size_t trial = setting.trials[0];
    std::optional<PictureFacts> pictures;
    try {
      pictures = read_kept_pictures(facts.results.folder / "trials" / facts.results.trials[trial].trial.id);
    } catch (const UserError& error) {
      grid.notes.push_back(error.what());
      continue;
    }
    if (!pictures || !pictures->why_none.empty()) {
      if (pictures) why = pictures->why_none;
      complete = complete || facts.results.trials[trial].outcome.state == "complete";
      ++without;
      continue;
    }
    if (grid.captions.empty()) begin_with(grid, *pictures);
    if (pictures->captions != grid.captions) {
      ++other_captions;
      continue;
    }
    PictureColumn column = last_student(*pictures);
    if (grid.trials.size() >= kMostRows || bytes + bytes_of(column) > kMostBytes) {
      ++too_many;
      continue;
    }
    if (!same_teacher(grid, *pictures)) ++other_teacher;
    bytes += bytes_of(column);
    grid.trials.push_back({trial, std::move(column)});
  }
  note(grid.notes, too_many, fmt::format("not shown; these are the {} best", grid.trials.size()));
  note(grid.notes, other_captions, "other captions were drawn; they are on the trial's own page");
  note(grid.notes, other_teacher, "its data or teacher are others than the rows above show");
  if (!grid.trials.empty()) {
    note(grid.notes, without, why.empty() ? "no pictures yet" : why);
  } else if (grid.notes.empty()) {
    grid.why_none = !why.empty()                           ? why
                    : !facts.results.rules.workers.reports ? "[workers] reports = false: no trial draws any"
                    : complete                             ? "the runs of the trials kept none"
                               : "they are drawn when a setting's first trial is complete, and none is yet";
  }
  return grid;
}

std::string pictures_section(const SweepFacts& facts) {
  const SweepPictures& grid = facts.pictures;
  std::string text = "<section id=\"pictures\"><h2>Pictures</h2>\n";
  if (!grid.why_none.empty()) return text + "<p class=\"note\">None: " + escaped(grid.why_none) + ".</p></section>\n";
  if (!grid.trials.empty())
    text += fmt::format(
        "<p class=\"note\">{}, drawn by the first repeat of each setting, best first; all start from the same "
        "noise: {}.</p>\n",
        escaped(grid.rows), escaped(grid.settings));
  for (const std::string& line : grid.notes) text += "<p class=\"note\">" + escaped(line) + ".</p>\n";
  if (grid.trials.empty()) return text + "</section>\n";
  text += fmt::format("<div class=\"shows\" style=\"--n:{}\">\n<div class=\"shown heads\"><div class=\"of\"></div>",
                      grid.captions.size());
  for (size_t k = 0; k < grid.captions.size(); ++k)
    text += fmt::format("<span><b>{}</b><i>{}</i></span>", k + 1, escaped(grid.captions[k]));
  text += "</div>\n";
  for (const PictureColumn& column : grid.first) text += row_of(escaped(column.name), "", column, grid.captions);
  for (const TrialPictures& row : grid.trials) text += row_of(facts, row);
  text += "</div>\n<ol class=\"captions\">";
  for (const std::string& caption : grid.captions) text += "<li>" + escaped(caption) + "</li>";
  return text + "</ol></section>\n";
}

}  // namespace espalier::report
