#include "core/base/alive.h"

#include <atomic>
#include <thread>
#include <utility>

namespace espalier {
namespace {

std::atomic<std::thread::id> g_watched{};
std::function<void()> g_sign;  // touched by the watched thread only

}  // namespace

void on_sign_of_life(std::function<void()> sign) {
  g_watched = sign ? std::this_thread::get_id() : std::thread::id();
  g_sign = std::move(sign);
}

void sign_of_life() {
  if (g_watched.load(std::memory_order_relaxed) == std::this_thread::get_id()) g_sign();
}

}  // namespace espalier
