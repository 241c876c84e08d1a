// One scheduler on the caller's stack, one fiber for each thread that is at a barrier. A fiber whose thread has ended takes the
// next thread, so that a kernel without barriers runs on a single stack.

#include "backends/cuda/emulate/fibers.h"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#include <sanitizer/common_interface_defs.h>
#endif
#endif

namespace espalier::cuda::emulate {

thread_local Place place;

namespace {

namespace ctx = boost::context;
constexpr unsigned kWarp = 32;
constexpr size_t kStackBytes = 64 << 10, kMostExchanged = 16;

uint64_t g_order = 0;
std::vector<std::function<void()>>* recorded = nullptr;

enum class State { kReady, kAtBlock, kAtWarp, kEnded };

struct Thread {
  State state = State::kReady;
  const char* file = nullptr;
  int line = 0;
  int fiber = -1;  // that it waits on
};

struct Lane {
  unsigned char value[2][kMostExchanged];  // of this exchange and of the last, which slower lanes may still read
};

class Block;
thread_local Block* running = nullptr;

// Stacks outlive launches: mapping them anew costs more than the kernels of a test.
class Stacks {
 public:
  ctx::stack_context allocate() {
    if (free_.empty()) return ctx::fixedsize_stack(kStackBytes).allocate();
    const ctx::stack_context stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void deallocate(ctx::stack_context& stack) { free_.push_back(stack); }
  ~Stacks() {
    for (ctx::stack_context& stack : free_) ctx::fixedsize_stack(kStackBytes).deallocate(stack);
  }

 private:
  std::vector<ctx::stack_context> free_;
};
thread_local Stacks stacks;
struct FromStacks {
  ctx::stack_context allocate() { return stacks.allocate(); }
  void deallocate(ctx::stack_context& stack) { stacks.deallocate(stack); }
};

struct Fiber {
  ctx::fiber context;
  const void* stack = nullptr;  // lowest address; for the sanitizer
};

class Block {
 public:
  Block(Extent3 extent, const std::function<void()>& body)
      : extent_(extent),
        body_(body),
        count_(extent.x * extent.y * extent.z),
        threads_(count_),
        lanes_(count_),
        turn_((count_ + kWarp - 1) / kWarp) {}

  void run(uint64_t seed) {
    for (Thread& thread : threads_) thread = Thread{};
    for (auto& [slot, bytes] : shared_) std::memset(bytes.data(), 0xff, bytes.size());
    std::vector<unsigned> order(count_);
    for (unsigned i = 0; i < count_; ++i) order[i] = i;
    for (bool more = true; more;) {
      shuffle(order, seed);
      for (unsigned i : order)
        if (threads_[i].state == State::kReady) go_on(i);
      more = release();
    }
  }

  ~Block() {
    over_ = true;  // fibers without a thread return; those that wait, after an error, are unwound
    for (int at : idle_) switch_to(fibers_[static_cast<size_t>(at)]);
  }

  void wait(State state, const char* file, int line) {
    Thread& thread = threads_[current_];
    thread.state = state;
    thread.file = file;
    thread.line = line;
    leave();
  }
  void exchange(const char* file, int line, void* value, size_t bytes, unsigned from_lane) {
    if (bytes > kMostExchanged) throw std::logic_error("a shuffle of more than 16 bytes");
    const unsigned warp = current_ / kWarp, me = current_, turn = turn_[warp] & 1;
    std::memcpy(lanes_[me].value[turn], value, bytes);
    wait(State::kAtWarp, file, line);
    const unsigned from = warp * kWarp + from_lane % kWarp;
    if (from < count_) std::memcpy(value, lanes_[from].value[turn], bytes);
  }
  unsigned lane() const { return current_ % kWarp; }
  void* shared(const void* slot, size_t bytes) {
    auto& array = shared_[slot];
    if (array.empty()) array.assign(bytes, 0xff);
    if (array.size() != bytes) throw std::logic_error("one shared array, two sizes");
    return array.data();
  }

 private:
  void shuffle(std::vector<unsigned>& order, uint64_t& seed) const {
    if (seed == 0) return;
    for (size_t i = order.size(); i > 1; --i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      std::swap(order[i - 1], order[(seed >> 33) % i]);
    }
  }

  void enter(unsigned i) {
    current_ = i;
    place.thread = {i % extent_.x, i / extent_.x % extent_.y, i / (extent_.x * extent_.y)};
  }

  // Runs thread i to its next barrier or its end.
  void go_on(unsigned i) {
    enter(i);
    int at = threads_[i].fiber;
    if (at < 0) {
      if (idle_.empty()) idle_.push_back(make_fiber());
      at = idle_.back();
      idle_.pop_back();
    }
    switch_to(fibers_[static_cast<size_t>(at)]);
    threads_[i].fiber = threads_[i].state == State::kEnded ? -1 : at;
    if (threads_[i].state == State::kEnded) idle_.push_back(at);
  }

  int make_fiber() {
    const int at = static_cast<int>(fibers_.size());
    auto fiber = std::make_unique<Fiber>();
    ctx::stack_context stack = stacks.allocate();
    fiber->stack = static_cast<const char*>(stack.sp) - stack.size;
    fiber->context =
        ctx::fiber(std::allocator_arg, ctx::preallocated(stack.sp, stack.size, stack), FromStacks{}, [this](ctx::fiber&& back) {
          main_ = std::move(back);
          entered(nullptr);
          while (!over_) {
            body_();
            threads_[current_] = Thread{State::kEnded};  // wherever it waited last: warps may differ in that
            leave();
          }
#if defined(__SANITIZE_ADDRESS__)
          __sanitizer_start_switch_fiber(nullptr, main_stack_, main_bytes_);
#endif
          return std::move(main_);
        });
    fibers_.push_back(std::move(fiber));
    return at;
  }

  // The two directions of a switch, told to the sanitizer so that it knows which stack is whose.
  void switch_to(std::unique_ptr<Fiber>& fiber) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&main_fake_, fiber->stack, kStackBytes);
#endif
    fiber->context = std::move(fiber->context).resume();
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(main_fake_, nullptr, nullptr);
#endif
  }
  void leave() {
    void* fake = nullptr;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake, main_stack_, main_bytes_);
#endif
    main_ = std::move(main_).resume();
    entered(fake);
  }
  void entered([[maybe_unused]] void* fake) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, &main_stack_, &main_bytes_);
#endif
  }

  std::string at(unsigned i) const {
    const Thread& t = threads_[i];
    return t.state == State::kEnded ? "thread " + std::to_string(i) + " has ended"
                                    : "thread " + std::to_string(i) + " waits at " + t.file + ":" + std::to_string(t.line);
  }
  void need_together(unsigned first, unsigned last, const char* what) const {
    for (unsigned i = first + 1; i < last; ++i)
      if (threads_[i].state != threads_[first].state || threads_[i].line != threads_[first].line ||
          threads_[i].file != threads_[first].file)
        throw std::logic_error(std::string("a divergent barrier of a ") + what + ": " + at(first) + ", " + at(i));
  }

  // Lets waiting threads go on; false when all have ended.
  bool release() {
    bool any_warp = false;
    for (unsigned first = 0; first < count_; first += kWarp) {
      const unsigned last = std::min(first + kWarp, count_);
      const auto waits = [](const Thread& t) { return t.state == State::kAtWarp; };
      if (std::none_of(threads_.begin() + first, threads_.begin() + last, waits)) continue;
      need_together(first, last, "warp");
      any_warp = true;
      ++turn_[first / kWarp];
      for (unsigned i = first; i < last; ++i) threads_[i].state = State::kReady;
    }
    if (any_warp) return true;
    need_together(0, count_, "block");
    if (threads_[0].state == State::kEnded) return false;
    for (Thread& thread : threads_) thread.state = State::kReady;
    return true;
  }

  Extent3 extent_;
  const std::function<void()>& body_;
  unsigned count_, current_ = 0;
  bool over_ = false;
  std::vector<Thread> threads_;
  std::vector<Lane> lanes_;
  std::vector<unsigned> turn_;  // exchanges of each warp so far
  std::map<const void*, std::vector<unsigned char>> shared_;
  ctx::fiber main_;
  [[maybe_unused]] void* main_fake_ = nullptr;  // these three for the sanitizer
  [[maybe_unused]] const void* main_stack_ = nullptr;
  [[maybe_unused]] size_t main_bytes_ = 0;
  std::vector<int> idle_;
  std::vector<std::unique_ptr<Fiber>> fibers_;  // last: they are unwound while the rest is there
};

}  // namespace

void record(std::vector<std::function<void()>>* launches) { recorded = launches; }

void run(Extent3 grid, Extent3 block, const std::function<void()>& body) {
  if (recorded != nullptr) {
    recorded->push_back([grid, block, body] { run(grid, block, body); });
    return;
  }
  uint64_t seed = g_order;
  Block threads(block, body);
  Block* const outer = std::exchange(running, &threads);
  place.block_extent = block;
  place.grid_extent = grid;
  try {
    for (unsigned z = 0; z < grid.z; ++z)
      for (unsigned y = 0; y < grid.y; ++y)
        for (unsigned x = 0; x < grid.x; ++x) {
          place.block = {x, y, z};
          threads.run(seed);
        }
  } catch (...) {
    running = outer;
    throw;
  }
  running = outer;
}

void set_order(uint64_t seed) { g_order = seed; }
void block_barrier(const char* file, int line) { running->wait(State::kAtBlock, file, line); }
void exchange(const char* file, int line, void* value, size_t bytes, unsigned from_lane) {
  running->exchange(file, line, value, bytes, from_lane);
}
unsigned lane() { return running->lane(); }
void* shared(const void* slot, size_t bytes) { return running->shared(slot, bytes); }

}  // namespace espalier::cuda::emulate
