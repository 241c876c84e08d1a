// oneDNN runs on OpenMP threads of its own; the pool's tasks each want exactly one.

#include "backends/cpu/onednn.h"

#if defined(ESPALIER_CPU_ONEDNN)
#include <omp.h>

#include <unordered_map>
#endif

namespace espalier::cpu {

#if defined(ESPALIER_CPU_ONEDNN)
void one_openmp_thread() { omp_set_num_threads(1); }
OneOpenmpThread::OneOpenmpThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneOpenmpThread::~OneOpenmpThread() { omp_set_num_threads(before_); }

namespace onednn {
namespace {

dnnl::stream& stream() {
  static thread_local dnnl::stream stream(engine());
  return stream;
}

dnnl::primitive_attr user_scratch() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

Memory at(const Desc& desc, const void* data) { return {desc, engine(), const_cast<void*>(data)}; }

}  // namespace

const dnnl::engine& engine() {
  static const auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);  // never freed: threads may outlive statics
  return *engine;
}

Desc strided(const Memory::dims& dims, const Memory::dims& steps) { return {dims, Memory::data_type::f32, steps}; }
Desc any(const Memory::dims& dims) { return {dims, Memory::data_type::f32, Memory::format_tag::any}; }
Desc nhwc(const Memory::dims& dims) { return {dims, Memory::data_type::f32, Memory::format_tag::nhwc}; }

// A descriptor remembers how many threads OpenMP had when it was made, and its primitive asks for as many whoever runs it.

dnnl::matmul::primitive_desc matmul(const Desc& x, const Desc& weight, const Desc& bias, const Desc& out) {
  const OneOpenmpThread one;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), x, weight, bias, out, user_scratch()};
#else
  return {dnnl::matmul::desc(x, weight, bias, out), user_scratch(), engine()};
#endif
}

dnnl::convolution_forward::primitive_desc convolution(const Desc& x, const Desc& weight, const Desc& bias, const Desc& out,
                                                      int64_t stride, const Memory::dims& before, const Memory::dims& after) {
  const OneOpenmpThread one;
  const Memory::dims strides{stride, stride};
  const auto kind = dnnl::prop_kind::forward_inference;
  const auto way = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), kind, way, x, weight, bias, out, strides, before, after, user_scratch()};
#else
  return {dnnl::convolution_forward::desc(kind, way, x, weight, bias, out, strides, before, after), user_scratch(), engine()};
#endif
}

void run(const dnnl::primitive& primitive, const Desc& x_desc, const void* x, const Desc& weight_desc, const void* weight,
         const Desc& bias_desc, const void* bias, const Desc& out_desc, void* out, const Desc& scratch_desc, void* scratch) {
  std::unordered_map<int, Memory> args{{DNNL_ARG_SRC, at(x_desc, x)},
                                       {DNNL_ARG_WEIGHTS, at(weight_desc, weight)},
                                       {DNNL_ARG_DST, at(out_desc, out)},
                                       {DNNL_ARG_SCRATCHPAD, at(scratch_desc, scratch)}};
  if (bias) args.emplace(DNNL_ARG_BIAS, at(bias_desc, bias));
  primitive.execute(stream(), args);
  stream().wait();
}

void reorder(const Desc& from_desc, const void* from, const Desc& to_desc, void* to) {
  Memory source = at(from_desc, from), target = at(to_desc, to);
  dnnl::reorder(source, target).execute(stream(), source, target);
  stream().wait();
}

}  // namespace onednn
#else
void one_openmp_thread() {}
OneOpenmpThread::OneOpenmpThread() : before_(0) {}
OneOpenmpThread::~OneOpenmpThread() { static_cast<void>(before_); }
#endif

}  // namespace espalier::cpu
