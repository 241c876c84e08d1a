#pragma once
// Statuses of NVIDIA's libraries as exceptions that carry the library's own words.

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <new>
#include <stdexcept>
#include <string>

namespace espalier::cuda {

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  if (status == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}
inline void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) throw std::runtime_error(std::string(what) + ": " + cublasLtGetStatusString(status));
}

}  // namespace espalier::cuda
