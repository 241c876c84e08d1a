#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "core/base/child.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/cli/recipe_plugins.h"
#include "core/cli/sweep_launch.h"
#include "core/cli/sweep_same.h"
#include "core/report/sweep_report.h"
#include "core/sweep/control.h"
#include "core/sweep/search.h"
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
  bool dry_run = false, extend = false, retry_failed = false, allow_exec = false;
  LaunchOptions launch;
};

std::vector<std::string> thread_sets(int64_t threads) { return {"threads=" + std::to_string(threads)}; }

/// Threads of a worker: those that were asked for, or this machine's shared out.
std::optional<int64_t> worker_threads(const Options& options) {
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  if (options.threads || options.backend != "cpu") return options.threads;
  return std::max<int64_t>(1, cores / options.jobs);
}

/// `espalier work DIR`, where paths hold in any folder.
std::vector<std::string> work_words(const Options& options, const CommandContext& context, const std::string& program,
                                    std::optional<int64_t> threads) {
  std::vector<std::string> words{program, "work", fs::absolute(options.out).lexically_normal().string(), "--backend",
                                 options.backend};
  if (threads) words.insert(words.end(), {"--threads", std::to_string(*threads)});
  if (options.allow_exec) words.emplace_back("--allow-exec");
  for (const fs::path& plugin : context.plugin_files) words.insert(words.end(), {"--plugin", fs::absolute(plugin).string()});
  return words;
}

std::vector<std::string> worker_words(const Options& options, const CommandContext& context, const std::string& program,
                                      const sweep::Trial& trial) {
  std::vector<std::string> words = work_words(options, context, program, worker_threads(options));
  words.insert(words.end(), {"--trial", trial.id});
  return words;
}

/// Trials that may go on although they have an outcome: pruned ones when there are new rivals, failed ones when the user asks.
void reopen(const sweep::Store& store, const std::vector<sweep::Trial>& trials, bool pruned, bool failed) {
  for (const sweep::Trial& trial : trials) {
    const auto outcome = store.outcome(trial.id);
    if (!outcome) continue;
    // One without a recipe could not be run, and cannot now.
    if (failed && outcome->state == "failed" && !trial.recipe.empty()) store.forget(trial.id);
    if (pruned && outcome->state == "pruned") store.reopen(trial.id);
  }
}

class SweepCommand {
 public:
  SweepCommand(const Options& options, CommandContext& context)
      : options_(options), context_(context), registry_(plugins::request_of_process(context.plugin_files)), store_(options.out) {}

  void run() {
    read();
    check();
    if (options_.dry_run) return show();
    const LockFile held = begin();
    go();
  }

 private:
  /// The file and its trials' recipes, with every fault that is seen without opening anything.
  void read() {
    ErrorList errors;
    file_ = sweep::read_sweep_file(options_.sweep, errors);
    searched_ = !file_.search.program.empty();
    if (searched_) file_.points = {{"base", {}}};  // what is known beforehand
    trials_ = sweep::make_trials(file_, plugin_check(), errors);
    if (options_.out.empty() && !options_.dry_run)
      errors.add("[sweep] --out is missing; give a folder for the sweep, or --dry-run to see its trials");
    if (options_.jobs < 1) errors.add("[sweep] --jobs must be at least 1");
    check_launch(options_.launch, errors);
    if (searched_ && options_.launch.launcher == "slurm")
      errors.add(
          "[sweep] --launcher slurm queues trials that are known beforehand, and a 'search' chooses them one by one; "
          "--launcher command starts each as it comes");
    errors.throw_if_any();
    if (searched_ && !options_.allow_exec && !options_.dry_run)
      throw UserError("[sweep] 'search' starts the program " + file_.search.program.string() +
                      ", and a program that a file names runs only with --allow-exec; look at it, then give that");
    if (searched_) search_text_ = sweep::search_text(file_, trials_[0].recipe), base_steps_ = trials_[0].planned_steps;
  }

  /// What is there already, and everything that a trial would open, refuse or need.
  void check() {
    backend_ = choose_backend(context_, options_.backend,
                              options_.threads ? thread_sets(*options_.threads) : std::vector<std::string>{});
    there_ = !options_.out.empty() && store_.exists();
    if (there_ && !options_.extend) {
      if (searched_)
        require_same_search(store_, search_text_, file_);
      else
        require_same(store_, trials_, file_);
    }
    if (there_) require_same_rounding(store_.rules().share, file_.rules.share);
    ErrorList errors;
    std::vector<bool> settled(trials_.size(), false);
    if (there_ && !searched_ && !options_.dry_run)
      for (size_t i = 0; i < trials_.size(); ++i) settled[i] = store_.outcome(trials_[i].id).has_value();
    sizes_ = sweep::size_trials(
        trials_, [&](size_t i) { return sweep::recipe_of(file_, file_.points[i].settings, errors); }, settled, file_.rules,
        services(), errors);
    errors.throw_if_any();
    inputs_ = same_inputs(store_, sizes_);
    if (searched_) count_search(settled);
    const uint64_t kept = there_ ? train::bytes_kept(store_.teacher_values()) : 0, limit = file_.rules.share.limit_bytes();
    const uint64_t shared = std::min(limit - std::min(limit, kept), sweep::shared_bytes(trials_, sizes_, settled));
    sweep::check_resources(sizes_, settled, options_.jobs, file_.rules.workers.keep_checkpoints,
                           options_.out.empty() ? fs::path(".") : options_.out, errors, options_.launch.here(), shared);
    if (!options_.dry_run) errors.throw_if_any();
    resource_faults_ = errors;
  }

  /// Each trial that a search may ask for counts as the base; those that are done leave no more.
  void count_search(std::vector<bool>& settled) {
    sizes_.resize(static_cast<size_t>(file_.search.trials), sizes_[0]);
    settled.resize(sizes_.size(), false);
    if (!there_) return;
    const std::vector<sweep::Trial> listed = store_.trials();
    for (size_t i = 0; i < listed.size() && i < settled.size(); ++i) settled[i] = store_.outcome(listed[i].id).has_value();
  }

  void show() const {
    if (searched_)
      context_.out << "search  " << file_.search.program.string() << "\ntrials  " << file_.search.trials << "\naxes\n"
                   << sweep::axes_text(file_) << "\nthe base recipe, which each trial changes:\n";
    sweep::print_trials(trials_, sizes_, file_.rules, options_.jobs, services(), context_.out);
    resource_faults_.throw_if_any();
  }

  /// Makes the folder, or brings it up to date. Nothing in it changes while another process looks after it.
  LockFile begin() {
    if (!there_) store_.create(file_.text, file_.rules, searched_ ? std::vector<sweep::Trial>{} : trials_);
    std::optional<LockFile> held = store_.hold();
    if (!held)
      throw UserError("[" + store_.folder().string() + "] another espalier sweep looks after this folder; wait for it to end");
    if (searched_) trials_ = store_.trials();
    reopen(store_, trials_, options_.extend, options_.retry_failed);
    if (there_ && !searched_) {
      const std::vector<sweep::Trial> besides = done_besides(store_, trials_);
      if (!besides.empty() && options_.extend)
        say(std::to_string(besides.size()) + " done trials are not in the file any more; they stay in the tables");
      trials_.insert(trials_.end(), besides.begin(), besides.end());
    }
    if (there_ && (options_.extend || searched_)) store_.extend(file_.text, file_.rules, trials_);
    if (searched_) write_text(search_file(store_), search_text_);
    store_.write_inputs(inputs_);
    return std::move(*held);
  }

  void go() {
    std::map<std::string, std::string> looked_at;
    sweep::SearchProgram search(
        {.file = file_,
         .planned_steps = base_steps_,
         .check = plugin_check(),
         .fault = [&](const sweep::Trial& trial,
                      const train::Recipe& recipe) { return sweep::fault_of(trial, recipe, file_.rules, services(), looked_at); },
         .log = options_.out / "state" / "search.log",
         .say = [&](const std::string& line) { say(line); }});
    const std::string program = own_program().string();  // once: it may be replaced while the sweep runs
    sweep::ControlOptions control{
        .jobs = options_.jobs,
        .worker = [&](const sweep::Trial& trial, int64_t) { return worker_words(options_, context_, program, trial); },
        .say = [&](const std::string& line) { say(line); },
        .report = report::write_sweep_report,
        .source = searched_ ? &search : nullptr};
    const auto elsewhere =
        use_launcher(options_.launch, store_, file_.rules, work_words(options_, context_, program, options_.threads),
                     options_.backend == "cpu" && !options_.threads, control);
    const sweep::SweepEnd end = sweep::control(store_, trials_, file_.rules, control);
    context_.out << sweep::summary_table(sweep::collect(store_)) << '\n' << (options_.out / "trials.csv").string() << '\n';
    context_.exit_code = end.failed > 0 || end.left > 0 || end.search_failed ? 1 : 0;
  }

  sweep::CheckRecipe plugin_check() const {
    return
        [this](const train::Recipe& recipe, ErrorList& faults) { RecipePlugins(recipe, registry_, faults, options_.allow_exec); };
  }
  sweep::MakeServices services() const {
    return [this](const train::Recipe& recipe) {
      ErrorList faults;
      auto plugins = std::make_shared<const RecipePlugins>(recipe, registry_, faults, options_.allow_exec);
      faults.throw_if_any();
      return services_of_run(context_, std::move(plugins), backend_);
    };
  }
  void say(const std::string& line) const { say_notes(context_, {line}); }

  const Options& options_;
  CommandContext& context_;
  plugins::Registry registry_;
  sweep::Store store_;
  sweep::SweepFile file_;
  std::vector<sweep::Trial> trials_;
  std::vector<sweep::TrialSize> sizes_;
  std::shared_ptr<lower::Backend> backend_;
  std::string search_text_;
  std::map<std::string, std::string> inputs_;
  ErrorList resource_faults_;  // told after a dry run's table
  int64_t base_steps_ = 0;
  bool searched_ = false, there_ = false;
};

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
                      "report.html. With `search = \"exec:PROGRAM\"` a program chooses the trials one by one "
                      "(docs/search-protocol.md).",
       .examples = {{"espalier sweep sweep.toml --dry-run", "every trial with its sizes and the time it may take"},
                    {"espalier sweep sweep.toml --out s1 --jobs 2", "two trials at a time; the same line goes on after a stop"},
                    {"espalier sweep sweep.toml --out s1 --extend", "go on with a file that was changed: done trials stay done"},
                    {"espalier sweep search.toml --out s1 --allow-exec", "trials that a program asks for"},
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
  command->add_flag("--allow-exec", options->allow_exec,
                    "let `search` and exec: start their programs, which can do what you can");
  command->add_option("--backend", options->backend, "cpu, reference, or another plugin's")->type_name("NAME");
  command->add_option("--threads", options->threads, "threads of each worker (default: the cores, divided by --jobs)")
      ->type_name("N");
  add_launch_options(command, options->launch);
  on_run(command, context, [options, &context] { SweepCommand(*options, context).run(); });
}

}  // namespace espalier::cli
