#pragma once
// Threads that take tasks from one counter. A static split would wait for whichever thread the system pre-empted.

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace espalier::cpu {

/// Runs loops of independent tasks. What a task computes must not depend on the thread that runs it: then results do not
/// depend on the number of threads. One loop at a time.
class Pool {
 public:
  /// `threads` includes the caller's; 0 means one for each processor that this process may use.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls f(task, thread) for every task in [0, tasks) and returns when all are done. The first exception of a task is
  /// thrown here after the others have finished.
  template <typename F>
  void run(int64_t tasks, F&& f) {
    if (tasks <= 0) return;
    using Body = std::remove_reference_t<F>;
    run_tasks(
        tasks, [](void* body, int64_t task, int thread) { (*static_cast<Body*>(body))(task, thread); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  void end();
  using Body = void (*)(void* context, int64_t task, int thread);
  static constexpr uint32_t kClosed = uint32_t{1} << 31;
  void run_tasks(int64_t tasks, Body body, void* context);
  void work(int thread);
  bool enter();
  void leave();
  void take_tasks(int thread);

  std::vector<std::thread> workers_;
  Body body_ = nullptr;
  void* context_ = nullptr;
  int64_t tasks_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> round_{0};         // counts loops; a change wakes the workers
  alignas(64) std::atomic<uint32_t> inside_{kClosed};  // workers in this loop, and whether more may enter
  std::atomic<bool> stop_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace espalier::cpu
