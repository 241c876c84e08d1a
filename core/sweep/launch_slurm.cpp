#include "core/sweep/launch_slurm.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/base/child.h"
#include "core/base/files.h"
#include "core/base/text.h"

namespace espalier::sweep {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kBetweenQuestions = std::chrono::seconds(5);  // to a queue that others ask too
constexpr auto kForAnAnswer = std::chrono::seconds(120);     // Slurm's own tools give up after some retries

struct Answer {
  int code = 0;
  std::string text;
};

/// Runs one of Slurm's tools. What it prints goes through `file`, which stays for people to read.
Answer ask(const std::vector<std::string>& words, const fs::path& file) {
  write_text(file, "");
  Child child(words, file, Signals::kGroup);
  const auto begin = Clock::now();
  std::optional<ChildEnd> end;
  while (!(end = child.poll())) {
    if (Clock::now() - begin > kForAnAnswer) child.send(SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {end->signal != 0 ? 128 + end->signal : end->exit_code, read_text(file)};
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() < 19 && text.find_first_not_of("0123456789") == std::string::npos;
}

std::vector<std::string> lines_of(const fs::path& file) {
  if (!fs::exists(file)) return {};
  std::vector<std::string> lines = split(read_text(file, uint64_t{1} << 30), '\n');
  std::erase(lines, "");
  return lines;
}

}  // namespace

void check_slurm(const std::string& extra, ErrorList& errors) {
  for (const char* tool : {"sbatch", "squeue"})
    if (!on_path(tool))
      errors.add(std::string("[--launcher slurm] there is no ") + tool +
                 " on PATH; start the sweep on a machine from which jobs are submitted, or use --launcher local");
  if (extra.find('\n') != std::string::npos) errors.add("[--slurm] sbatch's options must be one line");
}

SlurmArray::SlurmArray(SlurmScript script, int64_t jobs, bool any_trial, std::function<void(const std::string&)> say)
    : script_(std::move(script)), jobs_at_once_(jobs), any_trial_(any_trial), say_(std::move(say)) {}

void SlurmArray::read_jobs() {
  jobs_.clear();
  for (const std::string& line : lines_of(file("job"))) {
    Job job;
    std::istringstream in(line);
    if (in >> job.id >> job.submission && is_number(job.id)) jobs_.push_back(job);
  }
}

void SlurmArray::write_jobs() const {
  std::string text;
  for (const Job& job : jobs_) text += fmt::format("{} {}\n", job.id, job.submission);
  write_text(file("job"), text);
}

std::string SlurmArray::job_list(const char* separator) const {
  std::vector<std::string> ids;
  for (const Job& job : jobs_) ids.push_back(job.id);
  return join(ids, separator);
}

SlurmArray::Queue SlurmArray::look() {
  Queue queue;
  for (const Job& job : jobs_) {  // one by one: a job that Slurm has forgotten is an error of the whole question
    const Answer answer =
        ask({"squeue", "--noheader", "--array", "--jobs=" + job.id, "--format=%F|%K|%T|%r"}, file("squeue.txt"));
    if (answer.code != 0) {
      if (answer.text.find("Invalid job id") != std::string::npos) continue;
      if (!deaf_)
        say_("squeue does not answer (" + printable(split(answer.text, '\n').front(), 200) + "); asked again until it does");
      deaf_ = true;
      return {};
    }
    const std::vector<std::string> ids = lines_of(ids_of(job.submission));
    for (const std::string& line : split(answer.text, '\n')) {
      const std::vector<std::string> words = split(line, '|');
      if (words.size() < 4 || words[0] != job.id) continue;
      queue.jobs.insert(job.id);
      if (words[3].find("Held") != std::string::npos || words[3].find("held") != std::string::npos) queue.held = words[3];
      if (is_number(words[1]) && std::stoull(words[1]) < ids.size()) queue.trials.insert(ids[std::stoull(words[1])]);
    }
  }
  deaf_ = false;
  queue.known = true;
  return queue;
}

void SlurmArray::begin(const std::vector<std::string>& ids) {
  fs::create_directories(file(""));
  read_jobs();
  const Queue queue = look();
  if (!queue.known)
    throw UserError("[slurm] it cannot be found out whether job " + job_list(", ") +
                    " is still in the queue; the same command goes on when squeue answers");
  std::erase_if(jobs_, [&](const Job& job) { return queue.jobs.count(job.id) == 0; });
  if (!jobs_.empty()) say_("job " + job_list(", ") + " of this sweep is still in Slurm's queue");
  std::vector<std::string> missing;
  for (const std::string& id : ids)
    if (queue.trials.count(id) == 0) missing.push_back(id);
  if (any_trial_ && !jobs_.empty()) missing.clear();
  if (missing.empty()) return write_jobs();
  submit(missing);
}

void SlurmArray::submit(const std::vector<std::string>& ids) {
  int64_t submission = 1;
  while (fs::exists(ids_of(submission))) ++submission;
  script_.tasks =
      any_trial_ ? std::min<int64_t>(jobs_at_once_, static_cast<int64_t>(ids.size())) : static_cast<int64_t>(ids.size());
  script_.at_once = std::min(jobs_at_once_, script_.tasks);
  script_.ids = any_trial_ ? fs::path() : ids_of(submission);
  write_text(ids_of(submission), join(ids, "\n") + "\n");
  write_text(file("array.sh"), to_text(script_));
  const Answer answer = ask({"sbatch", "--parsable", file("array.sh").string()}, file("sbatch.txt"));
  std::string job;
  for (const std::string& line : split(answer.text, '\n'))
    if (is_number(split(line, ';').front())) job = split(line, ';').front();  // "4711" or "4711;cluster", perhaps after remarks
  if (answer.code != 0 || job.empty()) {
    write_jobs();
    throw UserError(fmt::format("[slurm] sbatch refused {} (exit code {}): {}", file("array.sh").string(), answer.code,
                                printable(answer.text, 500)));
  }
  jobs_.push_back({job, submission});
  write_jobs();
  say_(fmt::format("submitted as job {}: {} task{}, {} at a time ({})", job, script_.tasks, script_.tasks == 1 ? "" : "s",
                   script_.at_once, file("array.sh").string()));
  asked_ = Clock::now();
}

bool SlurmArray::alive() {
  if (!alive_ || Clock::now() - asked_ < kBetweenQuestions) return alive_;
  const Queue queue = look();
  asked_ = Clock::now();
  if (!queue.known) return true;
  if (!queue.held.empty() && !held_said_) {
    held_said_ = true;
    say_(fmt::format("Slurm holds tasks of job {} back ({}); scontrol release {} lets them go on", job_list(", "),
                     printable(queue.held), job_list(",")));
  }
  return alive_ = !queue.jobs.empty();
}

void SlurmArray::cancel() {
  if (jobs_.empty()) return;
  std::vector<std::string> words{"scancel"};
  for (const Job& job : jobs_) words.push_back(job.id);
  if (const Answer answer = ask(words, file("scancel.txt")); answer.code != 0)
    say_("scancel failed: " + printable(answer.text, 300));
}

std::string SlurmArray::when_left() const {
  return jobs_.empty() ? "nothing is in Slurm's queue"
                       : "job " + job_list(", ") + " stays in Slurm's queue; cancel it: scancel " + job_list(" ");
}

std::string SlurmArray::when_over(int64_t trials_left) const {
  return fmt::format(
      "job {} has left Slurm's queue, and {} trial{} not done; {} says what its tasks did, and the same command "
      "submits the rest",
      job_list(", "), trials_left, trials_left == 1 ? " is" : "s are", file("*.log").string());
}

}  // namespace espalier::sweep
