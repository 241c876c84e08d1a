// oneDNN runs on OpenMP threads of its own; the pool's tasks each want exactly one.

#include "backends/cpu/onednn.h"

#if defined(ESPALIER_CPU_ONEDNN)
#include <omp.h>
#endif

namespace espalier::cpu {

#if defined(ESPALIER_CPU_ONEDNN)
void one_openmp_thread() { omp_set_num_threads(1); }
OneOpenmpThread::OneOpenmpThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneOpenmpThread::~OneOpenmpThread() { omp_set_num_threads(before_); }
#else
void one_openmp_thread() {}
OneOpenmpThread::OneOpenmpThread() : before_(0) {}
OneOpenmpThread::~OneOpenmpThread() = default;
#endif

}  // namespace espalier::cpu
