#include <algorithm>
#include <memory>
#include <set>
#include <thread>

#include "core/base/child.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/cli/recipe_plugins.h"
#include "core/cli/sweep_launch.h"
#include "core/report/sweep_report.h"
#include "core/sweep/control.h"
#include "core/sweep/sizes.h"
#include "core/train/run_folder.h"

namespace espalier::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  fs::path sweep, out;
  int64_t jobs = 1;
  std::optional<int64_t> threads;
  std::string backend = "cpu";
  bool dry_run = false, extend = false, retry_failed = false;
  LaunchOptions launch;
};

std::vector<std::string> thread_sets(int64_t threads) { return {"threads=" + std::to_string(threads)}; }

/// The trials that the file asks for are those that the folder has, or the user asked to add to them.
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
  std::vector<std::string> changes = lines(before, now, "-");
  for (const std::string& line : lines(now, before, "+")) changes.push_back(line);
  const std::string rules = train::line_difference(sweep::to_json(store.rules()), sweep::to_json(file.rules));
  if (changes.empty() && rules.empty()) return;
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

/// Trials that may go on although they have an outcome: pruned ones when there are new rivals, failed ones when the user asks.
void reopen(const sweep::Store& store, const std::vector<sweep::Trial>& trials, bool pruned, bool failed) {
  for (const sweep::Trial& trial : trials) {
    const auto outcome = store.outcome(trial.id);
    if (!outcome) continue;
    if (failed && outcome->state == "failed") store.forget(trial.id);
    if (pruned && outcome->state == "pruned") store.reopen(trial.id);
  }
}

/// Threads of a worker: those that were asked for, or this machine's shared out.
std::optional<int64_t> worker_threads(const Options& options) {
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  if (options.threads || options.backend != "cpu") return options.threads;
  return std::max<int64_t>(1, cores / options.jobs);
}

/// `espalier work DIR`, where paths hold in any folder.
std::vector<std::string> work_words(const Options& options, const CommandContext& context, std::optional<int64_t> threads) {
  std::vector<std::string> words{own_program().string(), "work", fs::absolute(options.out).lexically_normal().string(),
                                 "--backend", options.backend};
  if (threads) words.insert(words.end(), {"--threads", std::to_string(*threads)});
  for (const fs::path& plugin : context.plugin_files) words.insert(words.end(), {"--plugin", fs::absolute(plugin).string()});
  return words;
}

std::vector<std::string> worker_words(const Options& options, const CommandContext& context, const sweep::Trial& trial) {
  std::vector<std::string> words = work_words(options, context, worker_threads(options));
  words.insert(words.end(), {"--trial", trial.id});
  return words;
}

int code_of(const sweep::SweepEnd& end) { return end.failed > 0 || end.left > 0 ? 1 : 0; }

/// Trials of one sweep are compared with one another, and rounding is part of what a trial is.
void require_same_rounding(const sweep::ShareRules& begun, const sweep::ShareRules& now) {
  if ((begun.teacher_values == "f16") != (now.teacher_values == "f16"))
    throw UserError("[share] teacher_values = \"f16\" rounds, and this sweep was begun with \"" + begun.teacher_values +
                    "\"; begin another one for \"" + now.teacher_values + "\"");
}

void run_sweep(const Options& options, CommandContext& context) {
  ErrorList errors;
  const sweep::SweepFile file = sweep::read_sweep_file(options.sweep, errors);
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const std::vector<sweep::Trial> trials = sweep::make_trials(
      file, [&](const train::Recipe& recipe, ErrorList& faults) { RecipePlugins(recipe, registry, faults); }, errors);
  if (options.out.empty() && !options.dry_run)
    errors.add("[sweep] --out is missing; give a folder for the sweep, or --dry-run to see its trials");
  if (options.jobs < 1) errors.add("[sweep] --jobs must be at least 1");
  check_launch(options.launch, errors);
  errors.throw_if_any();

  const auto backend =
      choose_backend(context, options.backend, options.threads ? thread_sets(*options.threads) : std::vector<std::string>{});
  const sweep::MakeServices services = [&](const train::Recipe& recipe) {
    ErrorList faults;
    auto plugins = std::make_shared<const RecipePlugins>(recipe, registry, faults);
    faults.throw_if_any();
    return services_of_run(context, std::move(plugins), backend);
  };
  const sweep::Store store(options.out);
  const bool there = !options.out.empty() && store.exists();
  if (there && !options.extend) require_same(store, trials, file);
  if (there) require_same_rounding(store.rules().share, file.rules.share);
  const std::vector<sweep::TrialSize> sizes = sweep::size_trials(
      trials, [&](size_t i) { return sweep::recipe_of(file, file.points[i].settings, errors); }, file.rules, services, errors);
  errors.throw_if_any();
  std::vector<bool> settled(trials.size(), false);
  if (there)
    for (size_t i = 0; i < trials.size(); ++i) settled[i] = store.outcome(trials[i].id).has_value();
  const fs::path disk = options.out.empty() ? fs::path(".") : options.out;
  const uint64_t kept = there ? train::bytes_kept(store.teacher_values()) : 0, limit = file.rules.share.limit_bytes();
  const uint64_t shared = std::min(limit - std::min(limit, kept), sweep::shared_bytes(trials, sizes, settled));
  sweep::check_resources(sizes, settled, options.jobs, file.rules.workers.keep_checkpoints, disk, errors, options.launch.here(),
                         shared);
  if (options.dry_run) sweep::print_trials(trials, sizes, file.rules, options.jobs, services, context.out);
  errors.throw_if_any();
  if (options.dry_run) return;

  if (!there)
    store.create(file.text, file.rules, trials);
  else if (options.extend)
    store.extend(file.text, file.rules, trials);
  reopen(store, trials, options.extend, options.retry_failed);
  sweep::ControlOptions control{
      .jobs = options.jobs,
      .worker = [&](const sweep::Trial& trial, int64_t) { return worker_words(options, context, trial); },
      .say = [&](const std::string& line) { say_notes(context, {line}); },
      .report = report::write_sweep_report};
  const auto elsewhere = use_launcher(options.launch, store, file.rules, work_words(options, context, options.threads),
                                      options.backend == "cpu" && !options.threads, control);
  const sweep::SweepEnd end = sweep::control(store, trials, file.rules, control);
  context.out << sweep::summary_table(sweep::collect(store)) << '\n' << (options.out / "trials.csv").string() << '\n';
  context.exit_code = code_of(end);
}

}  // namespace

void add_sweep(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "sweep",
       .summary = "run a table of recipes and compare them",
       .description = "Reads sweep.toml: a base recipe and what varies ([grid], [zip], [random], [[list]], repeats). Every trial "
                      "is checked before "
                      "the first one runs. Each is a run folder DIR/trials/ID, trained by worker processes that may be killed at "
                      "any moment: the "
                      "same command goes on. Stages that trials have in common are trained once. Results are DIR/trials.csv, "
                      "trials.jsonl and "
                      "report.html.",
       .examples = {{"espalier sweep sweep.toml --dry-run", "every trial with its sizes and the time it may take"},
                    {"espalier sweep sweep.toml --out s1 --jobs 2", "two trials at a time; the same line goes on after a stop"},
                    {"espalier sweep sweep.toml --out s1 --extend", "go on with a file that was changed: done trials stay done"},
                    {"espalier sweep sweep.toml --out s1 --jobs 8 --launcher slurm --slurm '--time=60'",
                     "a Slurm array job, eight tasks at a time"},
                    {"espalier work s1", "from another shell or machine with the same folder: take trials too"}},
       .exit_codes =
           "0 all trials are complete or were stopped early, 1 trials have failed, 2 the input is at fault, 3 stopped and "
           "resumable"});
  command->add_option("SWEEP", options->sweep, "sweep.toml")->required()->type_name("FILE");
  add_out(command, options->out, "the sweep's folder: made, or gone on with");
  command->add_option("--jobs", options->jobs, "trials at a time")->type_name("N");
  command->add_flag("--dry-run", options->dry_run,
                    "check everything, print the trials with sizes and estimated time; write nothing");
  command->add_flag("--extend", options->extend, "take a changed sweep file: new trials are added, done ones stay");
  command->add_flag("--retry-failed", options->retry_failed, "try trials that have failed once more, as if they never had");
  command->add_option("--backend", options->backend, "cpu, reference, or another plugin's")->type_name("NAME");
  command->add_option("--threads", options->threads, "threads of each worker (default: the cores, divided by --jobs)")
      ->type_name("N");
  add_launch_options(command, options->launch);
  on_run(command, context, [options, &context] { run_sweep(*options, context); });
}

}  // namespace espalier::cli
