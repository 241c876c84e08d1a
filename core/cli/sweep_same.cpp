#include "core/cli/sweep_same.h"

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/train/run_folder.h"

namespace espalier::cli {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_other(const sweep::Store& store, const sweep::SweepFile& file, const std::vector<std::string>& changes) {
  std::string text = "[" + store.folder().string() +
                     "] was begun from another sweep; --extend goes on with this one (trials that are "
                     "done stay done), or choose another --out";
  if (const std::string difference = train::line_difference(store.sweep_text(), file.text); !difference.empty())
    text += "\n" + difference;
  else
    text += "\n  its base recipe or what that names has changed";
  for (const std::string& change : changes) text += "\n" + change;
  throw UserError(text);
}

}  // namespace

void require_same(const sweep::Store& store, const std::vector<sweep::Trial>& now, const sweep::SweepFile& file) {
  const std::vector<sweep::Trial> before = store.trials();
  const auto lines = [](const std::vector<sweep::Trial>& trials, const std::vector<sweep::Trial>& others, const char* sign) {
    std::set<std::string> ids;
    for (const sweep::Trial& trial : others) ids.insert(trial.id);
    std::vector<std::string> text;
    for (const sweep::Trial& trial : trials)
      if (ids.count(trial.id) == 0) text.push_back(std::string("  ") + sign + " trial " + sweep::label_of(trial));
    if (text.size() > 8)
      text[7] = "  " + std::string(sign) + " … and " + std::to_string(text.size() - 7) + " more", text.resize(8);
    return text;
  };
  std::vector<sweep::Trial> undone = before;
  std::erase_if(undone, [&](const sweep::Trial& trial) { return store.outcome(trial.id).has_value(); });
  std::vector<std::string> changes = lines(undone, now, "-");
  for (const std::string& line : lines(now, before, "+")) changes.push_back(line);
  const std::string rules = train::line_difference(sweep::to_json(store.rules()), sweep::to_json(file.rules));
  if (changes.empty() && rules.empty()) return;
  refuse_other(store, file, changes);
}

fs::path search_file(const sweep::Store& store) { return store.folder() / "search.json"; }

void require_same_search(const sweep::Store& store, const std::string& text, const sweep::SweepFile& file) {
  std::vector<std::string> changes;
  const bool begun = fs::exists(search_file(store));
  if (begun)
    if (const std::string difference = train::line_difference(read_text(search_file(store)), text); !difference.empty())
      changes.push_back(difference);
  if (!begun && !store.trials().empty()) changes.emplace_back("  it was no search");
  if (changes.empty() && sweep::to_json(store.rules()) == sweep::to_json(file.rules)) return;
  refuse_other(store, file, changes);
}

void require_same_rounding(const sweep::ShareRules& begun, const sweep::ShareRules& now) {
  if ((begun.teacher_values == "f16") != (now.teacher_values == "f16"))
    throw UserError("[share] teacher_values = \"f16\" rounds, and this sweep was begun with \"" + begun.teacher_values +
                    "\"; begin another one for \"" + now.teacher_values + "\"");
}

std::map<std::string, std::string> same_inputs(const sweep::Store& store, const std::vector<sweep::TrialSize>& sizes) {
  std::map<std::string, std::string> inputs = store.folder().empty() ? std::map<std::string, std::string>{} : store.inputs();
  ErrorList changed;
  std::set<std::string> said;
  for (const sweep::TrialSize& size : sizes)
    for (const auto& [path, print] : size.inputs)
      if (const auto [at, fresh] = inputs.emplace(path, print); !fresh && at->second != print && said.insert(path).second)
        changed.add("[" + path + "] is not what it was when the sweep in " + store.folder().string() +
                    " was begun; bring it back, or begin another sweep");
  changed.throw_if_any();
  return inputs;
}

std::vector<sweep::Trial> done_besides(const sweep::Store& store, const std::vector<sweep::Trial>& now) {
  std::set<std::string> ids;
  for (const sweep::Trial& trial : now) ids.insert(trial.id);
  std::vector<sweep::Trial> done;
  for (const sweep::Trial& trial : store.trials())
    if (ids.count(trial.id) == 0 && store.outcome(trial.id)) done.push_back(trial);
  return done;
}

}  // namespace espalier::cli
