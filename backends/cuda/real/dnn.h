#pragma once
// Graphs of cuDNN for convolutions and attention, with or without a device: what `dnn.cpp` runs and what can be planned from a
// description of a device. Compiles cudnn-frontend, which takes a minute: include it in as few sources as can be.

#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#include <cudnn_frontend.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "backends/cuda/seam.h"

namespace espalier::cuda {

namespace fe = cudnn_frontend;

/// Operands by number, the same for every graph.
enum DnnOperand : int64_t {
  kDnnA = 1,
  kDnnB,
  kDnnBias,
  kDnnOut,
  kDnnQ,
  kDnnK,
  kDnnV,
  kDnnD,
  kDnnStatistics,
  kDnnGradQ,
  kDnnGradK,
  kDnnGradV
};

/// Errors: std::runtime_error with the library's words.
inline void check(fe::error_t status) {
  if (status.is_bad()) throw std::runtime_error(status.get_message());
}

// `capability`: the device's, 90 for 9.0; 0: the graph asks the device where it has to know.
std::shared_ptr<fe::graph::Graph> convolution_graph(const ConvShape& shape, int32_t capability = 0);
/// The forward pass; with `statistics` for the gradient.
std::shared_ptr<fe::graph::Graph> attention_graph(const AttentionShape& shape, bool statistics, int32_t capability = 0);
std::shared_ptr<fe::graph::Graph> attention_gradient_graph(const AttentionShape& shape, int32_t capability = 0);

}  // namespace espalier::cuda
