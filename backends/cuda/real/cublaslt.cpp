// Matrix products by cuBLASLt: the heuristic's first algorithm, accumulated in f32; f32 operands are rounded only where TF32 is
// asked for.

#include <string>
#include <vector>

#include "backends/cuda/limits.h"
#include "backends/cuda/real/cuda_error.h"
#include "backends/cuda/real/libraries.h"

namespace espalier::cuda {
namespace {

cudaDataType_t type_of(int32_t dtype) { return dtype == ESP_F32 ? CUDA_R_32F : dtype == ESP_F16 ? CUDA_R_16F : CUDA_R_16BF; }

template <typename T, cublasStatus_t (*Destroy)(T)>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (value_ != nullptr) Destroy(value_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T* slot() { return &value_; }
  T get() const { return value_; }

 private:
  T value_ = nullptr;
};
using Handle = Owned<cublasLtHandle_t, cublasLtDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Matrix = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// A product as the library's own descriptors: no device is asked.
struct Described {
  Described(const MatmulShape& shape, bool tf32) {
    const bool rounds = tf32 && shape.dtype == ESP_F32;
    check(cublasLtMatmulDescCreate(description.slot(), rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "a product's description");
    set(CUBLASLT_MATMUL_DESC_TRANSA, shape.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, shape.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (shape.has_bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(shape.dtype));
    }
    const auto layout = [&](Matrix& matrix, bool transposed, int64_t rows, int64_t columns, int64_t ld, int64_t stride) {
      if (transposed) std::swap(rows, columns);
      check(cublasLtMatrixLayoutCreate(matrix.slot(), type_of(shape.dtype), static_cast<uint64_t>(rows),
                                       static_cast<uint64_t>(columns), ld),
            "a matrix's layout");
      const auto batch = static_cast<int32_t>(shape.batch);
      if (batch == 1) return;
      check(cublasLtMatrixLayoutSetAttribute(matrix.get(), CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch), "a batch");
      check(cublasLtMatrixLayoutSetAttribute(matrix.get(), CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
            "a batch's stride");
    };
    layout(a, shape.transpose_a, shape.m, shape.k, shape.lda, shape.stride_a);
    layout(b, shape.transpose_b, shape.k, shape.n, shape.ldb, shape.stride_b);
    layout(d, false, shape.m, shape.n, shape.ldd, shape.stride_d);
  }
  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) const {
    check(cublasLtMatmulDescSetAttribute(description.get(), attribute, &value, sizeof value), "a product's description");
  }

  Description description;
  Matrix a, b, d;
};

class MatmulPlan final : public Plan<MatmulOperands> {
 public:
  MatmulPlan(cublasLtHandle_t handle, const MatmulShape& shape, bool tf32) : handle_(handle), shape_(shape), is_(shape, tf32) {
    choose();
  }
  std::string engine() const override {
    int id = 0;
    cublasLtMatmulAlgoConfigGetAttribute(&chosen_.algo, CUBLASLT_ALGO_CONFIG_ID, &id, sizeof id, nullptr);
    return "cublasLt " + std::to_string(id);
  }
  uint64_t workspace_bytes() const override { return chosen_.workspaceSize; }
  void run(Stream stream, const MatmulOperands& at, void* workspace) const override {
    if (shape_.has_bias) is_.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, at.bias);
    const float alpha = 1, beta = shape_.adds_c ? 1 : 0;
    check(cublasLtMatmul(handle_, is_.description.get(), &alpha, at.a, is_.a.get(), at.b, is_.b.get(), &beta,
                         shape_.adds_c ? at.c : at.d, is_.d.get(), at.d, is_.d.get(), &chosen_.algo, workspace,
                         chosen_.workspaceSize, static_cast<cudaStream_t>(stream)),
          "a matrix product");
  }

 private:
  void choose() {
    Preference preference;
    check(cublasLtMatmulPreferenceCreate(preference.slot()), "a product's preference");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value), "a product's preference");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostMatmulWorkspace);
    for (auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                           CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(attribute, uint32_t{16});
    int found = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle_, is_.description.get(), is_.a.get(), is_.b.get(), is_.d.get(), is_.d.get(),
                                         preference.get(), 1, &chosen_, &found),
          "cuBLASLt has no algorithm for this product");
    if (found == 0) throw std::runtime_error("cuBLASLt has no algorithm for this product");
  }

  cublasLtHandle_t handle_;
  MatmulShape shape_;
  Described is_;
  cublasLtMatmulHeuristicResult_t chosen_{};
};

class CublasLt final : public Matmuls {
 public:
  explicit CublasLt(bool tf32) : tf32_(tf32) { check(cublasLtCreate(handle_.slot()), "cuBLASLt cannot be opened"); }
  Planned<MatmulOperands> plan(const MatmulShape& shape) override {
    try {
      return {std::make_shared<MatmulPlan>(handle_.get(), shape, tf32_), {}};
    } catch (const std::runtime_error& error) {
      return {nullptr, error.what()};
    }
  }

 private:
  bool tf32_;
  Handle handle_;
};

}  // namespace

std::string fault_of(const MatmulShape& shape) {
  try {
    Described described(shape, false);
    return {};
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

std::unique_ptr<Matmuls> open_cublaslt(const SeamOptions& options) { return std::make_unique<CublasLt>(options.tf32); }

}  // namespace espalier::cuda
