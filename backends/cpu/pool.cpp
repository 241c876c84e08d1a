// Between two calls of a network only microseconds pass, so a worker spins for a short while before it sleeps; asleep it
// costs nothing. A loop waits for the workers that entered it, not for those that the system did not get round to wake.
// Libraries that use OpenMP are held to one thread inside a task: the tasks are the parallelism.

#include "backends/cpu/pool.h"

#include <sched.h>

#include <string>
#include <system_error>
#include <utility>

#include <espalier/sdk/common.hpp>

#include "backends/cpu/onednn.h"

namespace espalier::cpu {
namespace {

constexpr int kSpins = 4000;  // about 20 to 50 microseconds

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

Pool::Pool(int threads) {
  if (threads <= 0) threads = processors();
  if (threads <= 0) threads = 1;
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error& error) {
    const size_t made = workers_.size() + 1;
    end();
    throw esp::error("the system gives " + std::to_string(made) + " of " + std::to_string(threads) + " threads: " + error.what());
  }
}

Pool::~Pool() { end(); }

void Pool::end() {
  stop_.store(true);
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::take_tasks(int thread) {
  for (;;) {
    const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    try {
      body_(context_, task, thread);
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }
}

void Pool::work(int thread) {
  one_openmp_thread();
  uint32_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && round_.load(std::memory_order_acquire) == seen; ++spin) relax();
    while (round_.load(std::memory_order_acquire) == seen) round_.wait(seen, std::memory_order_acquire);
    seen = round_.load(std::memory_order_acquire);
    if (stop_.load()) return;
    if (!enter()) continue;
    take_tasks(thread);
    leave();
  }
}

bool Pool::enter() {
  uint32_t now = inside_.load(std::memory_order_relaxed);
  while (!(now & kClosed))
    if (inside_.compare_exchange_weak(now, now + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  return false;
}

void Pool::leave() {
  if (inside_.fetch_sub(1, std::memory_order_release) == kClosed + 1) inside_.notify_one();
}

void Pool::run_tasks(int64_t tasks, Body body, void* context) {
  body_ = body;
  context_ = context;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  if (workers_.empty() || tasks == 1) {
    take_tasks(0);
  } else {
    inside_.store(0, std::memory_order_release);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    take_tasks(0);
    uint32_t now = inside_.fetch_or(kClosed, std::memory_order_acquire) | kClosed;
    for (int spin = 0; spin < kSpins && now != kClosed; ++spin, now = inside_.load(std::memory_order_acquire)) relax();
    for (; now != kClosed; now = inside_.load(std::memory_order_acquire)) inside_.wait(now, std::memory_order_acquire);
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace espalier::cpu
