#include "core/base/memory_limit.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace espalier {
namespace {

/// The number in a file that holds one; the largest there is when it holds another word ("max") or is not there.
uint64_t number_in(const char* file) {
  std::ifstream in(file);
  uint64_t value = 0;
  return in >> value ? value : std::numeric_limits<uint64_t>::max();
}

struct Sizes {
  uint64_t mapped = 0, resident = 0;
};

Sizes sizes_of_process() {
  std::ifstream pages("/proc/self/statm");
  Sizes sizes;
  if (!(pages >> sizes.mapped >> sizes.resident)) return {};
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  return {sizes.mapped * page, sizes.resident * page};
}

}  // namespace

uint64_t available_memory_bytes() {
  uint64_t available = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  std::ifstream info("/proc/meminfo");
  for (std::string key; info >> key;) {
    uint64_t kib = 0;
    if (key == "MemAvailable:" && info >> kib) available = kib * 1024;
    std::getline(info, key);
  }
  const uint64_t limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  if (limit != std::numeric_limits<uint64_t>::max() && used != std::numeric_limits<uint64_t>::max())
    available = std::min(available, limit > used ? limit - used : 0);
  rlimit address_space{};
  if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY) {
    const uint64_t size = sizes_of_process().mapped;
    available = std::min(available, address_space.rlim_cur > size ? address_space.rlim_cur - size : 0);
  }
  return available;
}

uint64_t resident_memory_bytes() { return sizes_of_process().resident; }

void release_freed_memory() { malloc_trim(0); }

uint64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace espalier
