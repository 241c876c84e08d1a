#pragma once
// cuBLASLt and cuDNN, each in one source file: their headers go no further.

#include <memory>

#include "backends/cuda/seam.h"

namespace espalier::cuda {

class Matmuls {
 public:
  virtual ~Matmuls() = default;
  virtual Planned<MatmulOperands> plan(const MatmulShape& shape) = 0;
};
std::unique_ptr<Matmuls> open_cublaslt(const SeamOptions& options);

class Dnn {
 public:
  virtual ~Dnn() = default;
  virtual Planned<ConvOperands> plan(const ConvShape& shape) = 0;
  virtual Planned<AttentionOperands> plan(const AttentionShape& shape) = 0;
};
/// Errors: std::runtime_error when the library cannot be loaded or has no device.
std::unique_ptr<Dnn> open_cudnn(Stream stream, const SeamOptions& options);
// What the libraries have against a shape, as far as they can say so without a device: descriptors, extents, strides, types.
// Empty: nothing.
std::string fault_of(const MatmulShape& shape);
std::string fault_of(const ConvShape& shape);
std::string fault_of(const AttentionShape& shape);

/// Release of the library that is there, "9.19.0"; empty when it cannot be loaded.
std::string cudnn_release();

}  // namespace espalier::cuda
