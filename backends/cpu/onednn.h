#pragma once
// The one place that knows which oneDNN this is: 2.x describes an operation apart from its primitive descriptor, 3.x does
// not. Without ESPALIER_CPU_ONEDNN nothing of it is compiled.

#include <cstdint>

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

#if defined(ESPALIER_CPU_ONEDNN)
namespace onednn {

using Memory = dnnl::memory;
using Desc = dnnl::memory::desc;

const dnnl::engine& engine();
/// f32, row-major with the given steps.
Desc strided(const Memory::dims& dims, const Memory::dims& steps);
/// f32 in whatever layout the primitive likes best.
Desc any(const Memory::dims& dims);
/// f32 images in NHWC, given as N,C,H,W as oneDNN wants it.
Desc nhwc(const Memory::dims& dims);

// Scratch is the caller's in all of these: primitives are run by several threads at once.
dnnl::matmul::primitive_desc matmul(const Desc& x, const Desc& weight, const Desc& bias, const Desc& out);
dnnl::convolution_forward::primitive_desc convolution(const Desc& x, const Desc& weight, const Desc& bias, const Desc& out,
                                                      int64_t stride, const Memory::dims& before, const Memory::dims& after);

/// Runs on the calling thread; a null bias is left out.
void run(const dnnl::primitive& primitive, const Desc& x_desc, const void* x, const Desc& weight_desc, const void* weight,
         const Desc& bias_desc, const void* bias, const Desc& out_desc, void* out, const Desc& scratch_desc, void* scratch);
/// Copies between two layouts.
void reorder(const Desc& from_desc, const void* from, const Desc& to_desc, void* to);

}  // namespace onednn
#endif

}  // namespace espalier::cpu
