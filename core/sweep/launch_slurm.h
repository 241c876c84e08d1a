#pragma once
// A sweep's trials as a Slurm array job, through sbatch, squeue and scancel.
//
//   DIR/slurm/array.sh      what was last submitted
//   DIR/slurm/ids-N.txt     trials of the N-th submission, in the order of its tasks
//   DIR/slurm/job           a line "JOB N" for each submission that may be in the queue
//   DIR/slurm/JOB_TASK.log  what a task did; its worker's words are in DIR/state/ID.log

#include <chrono>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/sweep/launch.h"
#include "core/sweep/slurm_script.h"

namespace espalier::sweep {

/// Faults when sbatch or squeue is not there, or `extra` is more than a line.
void check_slurm(const std::string& extra, ErrorList& errors);

class SlurmArray : public Elsewhere {
 public:
  /// `script`: ids, tasks and at_once are set here, from what is to be run and `jobs`. `any_trial`: tasks take trials by
  /// themselves.
  SlurmArray(SlurmScript script, int64_t jobs, bool any_trial, std::function<void(const std::string&)> say);

  /// Submits an array of those that no task in the queue has. Errors: UserError with sbatch's words.
  void begin(const std::vector<std::string>& ids) override;
  bool alive() override;
  void cancel() override;
  std::string when_left() const override;
  std::string when_over(int64_t trials_left) const override;

 private:
  struct Job {
    std::string id;
    int64_t submission;
  };
  struct Queue {
    bool known = false;            // squeue has answered
    std::set<std::string> jobs;    // with tasks in it
    std::set<std::string> trials;  // of those tasks; with `any_trial` none
    std::string held;              // why a task will not start by itself
  };

  std::filesystem::path file(const std::string& name) const { return script_.folder / "slurm" / name; }
  std::filesystem::path ids_of(int64_t submission) const { return file("ids-" + std::to_string(submission) + ".txt"); }
  Queue look();
  void submit(const std::vector<std::string>& ids);
  void read_jobs();
  void write_jobs() const;
  std::string job_list(const char* separator) const;

  SlurmScript script_;
  int64_t jobs_at_once_;
  bool any_trial_;
  std::function<void(const std::string&)> say_;
  std::vector<Job> jobs_;
  std::chrono::steady_clock::time_point asked_{};
  bool alive_ = true, deaf_ = false, held_said_ = false;
};

}  // namespace espalier::sweep
