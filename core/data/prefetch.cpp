#include "core/data/prefetch.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "core/base/error.h"

// The source is used by whoever holds `source_mutex_`: the thread while it makes a batch, a caller that asks for a held-out one.
// Batches wait in the order of their steps, which is all the state that two sides share.

namespace espalier::data {
namespace {

class Prefetch final : public Source {
 public:
  Prefetch(std::unique_ptr<Source> source, int depth)
      : source_(std::move(source)), depth_(static_cast<size_t>(depth)), thread_([this] { work(); }) {}

  ~Prefetch() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  const std::vector<BatchShape>& buckets() const override { return source_->buckets(); }
  int64_t validation_batches() const override { return source_->validation_batches(); }
  int64_t rows() const override { return source_->rows(); }
  std::vector<std::string> describe() const override { return source_->describe(); }
  Batch validation_batch(int64_t index) override {
    const std::lock_guard lock(source_mutex_);
    return source_->validation_batch(index);
  }

  Batch batch(int64_t step) override {
    std::unique_lock lock(mutex_);
    if (step != expected_) {
      ready_.clear();
      next_ = expected_ = step;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return !ready_.empty(); });
    Ready first = std::move(ready_.front());
    ready_.pop_front();
    ++expected_;
    changed_.notify_all();
    if (first.error) std::rethrow_exception(first.error);
    return std::move(first.batch);
  }

 private:
  struct Ready {
    Batch batch;
    std::exception_ptr error;
  };

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stop_ || (next_ >= 0 && ready_.size() < depth_); });
      if (stop_) return;
      const int64_t step = next_;
      lock.unlock();
      Ready made = make(step);
      lock.lock();
      if (next_ != step) continue;  // asked for another step meanwhile
      ready_.push_back(std::move(made));
      ++next_;
      changed_.notify_all();
    }
  }

  Ready make(int64_t step) {
    const std::lock_guard lock(source_mutex_);
    try {
      return {source_->batch(step), nullptr};
    } catch (...) {
      return {{}, std::current_exception()};
    }
  }

  std::unique_ptr<Source> source_;
  std::mutex source_mutex_, mutex_;
  std::condition_variable changed_;
  std::deque<Ready> ready_;            // steps expected_, expected_ + 1, …
  int64_t expected_ = -1, next_ = -1;  // that the caller takes, that the thread makes; -1: nobody has asked yet
  size_t depth_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace

std::unique_ptr<Source> prefetch(std::unique_ptr<Source> source, int depth) {
  ESP_CHECK(source != nullptr && depth > 0);
  return std::make_unique<Prefetch>(std::move(source), depth);
}

}  // namespace espalier::data
