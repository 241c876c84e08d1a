#pragma once
// sbatch, squeue, scontrol and scancel as shell scripts that run an array's tasks in the background, one after another.
//
// Files in its folder that a test makes: `wait` holds all tasks back; `refuse` is what sbatch says no with; `lose` has all tasks
// but the first vanish; `signal` sends USR1 to the first task as soon as its worker has begun.

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

namespace espalier::testing {

class FakeSlurm {
 public:
  explicit FakeSlurm(const std::filesystem::path& folder) : folder_(folder) {
    std::filesystem::create_directories(folder_ / "bin");
    tool("sbatch", R"sh(
printf '%s\n' "$*" >>$S/sbatch.calls
[ ! -e $S/refuse ] || { cat $S/refuse >&2; exit 1; }
for script; do :; done
job=$((4711 + $(ls $S | grep -c '^script-')))
cp "$script" $S/script-$job
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\)%.*/\1/p' "$script")
for k in $(seq 0 $last); do touch $S/queue-$job-$k; done
setsid /bin/sh $S/bin/run $job $last >/dev/null 2>$S/run.err </dev/null &
echo "sbatch: a remark of the cluster's" >&2
echo $job
)sh");
    tool("run", R"sh(
while [ -e $S/wait ]; do sleep 0.05; done
for k in $(seq 0 $2); do
  if [ -e $S/lose ] && [ $k -gt 0 ]; then rm -f $S/queue-$1-$k; continue; fi
  starts=0
  while :; do
    SLURM_ARRAY_JOB_ID=$1 SLURM_ARRAY_TASK_ID=$k SLURM_CPUS_ON_NODE=1 SLURM_RESTART_COUNT=$starts \
      bash $S/script-$1 >>$S/task-$1-$k.log 2>&1 &
    task=$!
    if [ -e $S/signal ]; then
      until grep -q start $(cat $S/signal)/state/*.claim; do sleep 0.02; done
      rm $S/signal
      kill -USR1 $task
    fi
    wait $task
    [ -e $S/requeue-${1}_$k ] || break
    rm $S/requeue-${1}_$k
    starts=$((starts + 1))
  done
  rm -f $S/queue-$1-$k
done
)sh");
    tool("squeue", R"sh(
for word; do case $word in --jobs=*) job=${word#--jobs=} ;; esac; done
ls $S/queue-$job-* >/dev/null 2>&1 || { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
for task in $S/queue-$job-*; do echo "$job|${task##*-}|RUNNING|None"; done
)sh");
    tool("scontrol", "touch $S/$1-$2\nkill -KILL $PPID\n");
    tool("scancel", "rm -f $S/queue-$1-*\n");
  }

  std::string path_with_it() const { return "PATH=" + (folder_ / "bin").string() + ":/usr/bin:/bin"; }
  void make(const std::string& name, const std::string& text = "") const { std::ofstream(folder_ / name) << text; }
  void remove(const std::string& name) const { std::filesystem::remove(folder_ / name); }
  std::string text(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  int submissions() const {
    const std::string calls = text("sbatch.calls");
    return static_cast<int>(std::count(calls.begin(), calls.end(), '\n'));
  }

 private:
  void tool(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = folder_ / "bin" / name;
    std::ofstream(file) << "#!/bin/sh\nS=" << folder_.string() << "\n" << text;
    ::chmod(file.c_str(), 0755);
  }
  std::filesystem::path folder_;
};

}  // namespace espalier::testing
