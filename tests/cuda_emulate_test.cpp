// What the emulator of CUDA threads promises: barriers and shuffles as on a device, in any order of threads; faults are found and
// say where; numbers of half precision convert exactly.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backends/cuda/kernels/device.h"

namespace espalier::cuda {
namespace {

__global__ void sum_of_block(const float* x, float* out) {
  ESP_SHARED(float, partial, 64);
  const unsigned t = threadIdx.x;
  partial[t] = x[blockIdx.x * 64 + t];
  __syncthreads();
  for (unsigned reach = 32; reach > 0; reach /= 2) {
    if (t < reach) partial[t] += partial[t + reach];
    __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = partial[0];
}

__global__ void sum_of_warp(const float* x, float* out) {
  float value = x[threadIdx.x];
  for (int reach = 16; reach > 0; reach /= 2) value += __shfl_xor_sync(0xffffffffu, value, reach);
  out[threadIdx.x] = value;
}

TEST(Emulate, blocks_meet_at_barriers_and_warps_in_shuffles_in_any_order_of_threads) {
  std::vector<float> x(192);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  for (uint64_t order : {0, 1, 99}) {
    emulate::set_order(order);
    std::vector<float> out(3);
    launch(nullptr, dim3{3, 1, 1}, dim3{64, 1, 1}, sum_of_block, x.data(), out.data());
    EXPECT_EQ(out, (std::vector<float>{2016, 6112, 10208}));
    std::vector<float> all(64);
    launch(nullptr, dim3{1, 1, 1}, dim3{64, 1, 1}, sum_of_warp, x.data(), all.data());
    EXPECT_EQ(all[0], 496);
    EXPECT_EQ(all[31], 496);
    EXPECT_EQ(all[32], 1520);
  }
  emulate::set_order(0);
}

__global__ void leaves_early(int count) {
  if (static_cast<int>(threadIdx.x) >= count) return;
  __syncthreads();
}
__global__ void two_barriers() {
  if (threadIdx.x % 2 == 0)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void half_a_warp_shuffles(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(0xffffu, 1.0f, 1);
}

__global__ void one_warp_shuffles(float* out) {
  if (threadIdx.x < 32) out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, static_cast<float>(threadIdx.x), 1);
}

template <typename... P, typename... A>
std::string fault(unsigned threads, void (*kernel)(P...), A... args) {
  try {
    launch(nullptr, dim3{1, 1, 1}, dim3{threads, 1, 1}, kernel, args...);
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "none";
}

TEST(Emulate, a_divergent_barrier_is_found_and_names_threads_and_lines) {
  EXPECT_EQ(fault(32, leaves_early, 32), "none");
  EXPECT_THAT(fault(32, leaves_early, 20),
              ::testing::MatchesRegex(
                  ".*divergent barrier of a block: thread 0 waits at .*cuda_emulate_test.cpp:[0-9]+, thread 20 has ended"));
  EXPECT_THAT(fault(32, two_barriers),
              ::testing::MatchesRegex(".*divergent barrier of a block: thread 0 waits at .*, thread 1 waits at .*"));
  std::vector<float> out(32);
  EXPECT_THAT(fault(32, half_a_warp_shuffles, out.data()), ::testing::HasSubstr("divergent barrier of a warp"));
}

TEST(Emulate, warps_may_have_waited_at_different_lines_before_they_end) {
  std::vector<float> out(32);
  EXPECT_EQ(fault(96, one_warp_shuffles, out.data()), "none");
  EXPECT_EQ(out[4], 5);
}

__global__ void reads_what_nobody_wrote(float* out) {
  ESP_SHARED(float, memory, 32);
  out[threadIdx.x] = memory[threadIdx.x];
}

TEST(Emulate, shared_memory_begins_as_nan) {
  std::vector<float> out(32, 0.0f);
  launch(nullptr, dim3{1, 1, 1}, dim3{32, 1, 1}, reads_what_nobody_wrote, out.data());
  for (float value : out) EXPECT_TRUE(std::isnan(value));
}

TEST(Emulate, every_f16_and_bf16_survives_f32_and_rounding_is_to_nearest_even) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!std::isnan(f16_to_float(half))) {
      EXPECT_EQ(float_to_f16(f16_to_float(half)), half);
    }
    if (!std::isnan(bf16_to_float(half))) {
      EXPECT_EQ(float_to_bf16(bf16_to_float(half)), half);
    }
  }
  // Halfway between neighbours the even one; a little more or less decides.
  for (uint16_t half : {uint16_t{0x0001}, uint16_t{0x03ff}, uint16_t{0x3c00}, uint16_t{0x3c01}, uint16_t{0x7bfe}}) {
    const float low = f16_to_float(half), high = f16_to_float(static_cast<uint16_t>(half + 1)), middle = (low + high) / 2;
    EXPECT_EQ(float_to_f16(middle), half % 2 == 0 ? half : half + 1);
    EXPECT_EQ(float_to_f16(std::nextafter(middle, 0.0f)), half);
    EXPECT_EQ(float_to_f16(std::nextafter(middle, 1e9f)), half + 1);
  }
  EXPECT_EQ(float_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_f16(1e-9f), 0);
  EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(NAN))) && std::isnan(bf16_to_float(float_to_bf16(NAN))));
}

}  // namespace
}  // namespace espalier::cuda
