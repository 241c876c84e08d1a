#pragma once
// The one place that knows which oneDNN this is: 2.x describes an operation apart from its primitive descriptor, 3.x does
// not. Without ESPALIER_CPU_ONEDNN nothing of it is compiled.

#if defined(ESPALIER_CPU_ONEDNN)
#include <dnnl.hpp>
#endif

namespace espalier::cpu {

/// Holds OpenMP to one thread for the calling thread.
void one_openmp_thread();

/// Holds it for a scope and restores what was set before: the caller's thread belongs to the host.
class OneOpenmpThread {
 public:
  OneOpenmpThread();
  ~OneOpenmpThread();
  OneOpenmpThread(const OneOpenmpThread&) = delete;
  OneOpenmpThread& operator=(const OneOpenmpThread&) = delete;

 private:
  int before_;
};

}  // namespace espalier::cpu
