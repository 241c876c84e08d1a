#pragma once
// Executes a CUDA kernel's source on the host: every thread of a block is a fiber (Boost.Context), blocks run one after another.
// What it finds that a GPU would not say: a barrier that some threads of the block, or lanes of the warp, never reach or reach
// at another line; shared memory that is read before it is written (it begins as NaN); with a sanitizer, every index out of
// range. The order of threads between barriers is free: a seed shuffles it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace espalier::cuda::emulate {

struct Extent3 {
  unsigned x = 1, y = 1, z = 1;
};

/// Of the running thread. Written by the scheduler before a fiber goes on.
struct Place {
  Extent3 thread, block, block_extent, grid_extent;
};
extern thread_local Place place;

/// Runs `body` for every thread of every block. `order`: 0 in order of thread, else a seed for a shuffled order.
/// Errors: std::logic_error that names the line at which threads wait for one another in vain.
/// Cost: about 30 ns a thread and barrier.
void run(Extent3 grid, Extent3 block, const std::function<void()>& body);

/// The seed of all launches that follow; 0 at first.
void set_order(uint64_t seed);
/// Launches that follow go to `launches` and are not run; null: they run again.
void record(std::vector<std::function<void()>>* launches);

// What the shim's macros expand to.
void block_barrier(const char* file, int line);
/// All lanes of the warp exchange `bytes` at `value`: `lane_of(lane)` says whose each gets.
void exchange(const char* file, int line, void* value, size_t bytes, unsigned from_lane);
unsigned lane();
/// The array of this block that `slot` names, of `bytes`, filled with NaN when the block begins.
void* shared(const void* slot, size_t bytes);

}  // namespace espalier::cuda::emulate
