/* Services that the host gives to a plugin. Valid from init to deinit; callable from any thread unless said otherwise. */
#ifndef ESPALIER_HOST_H
#define ESPALIER_HOST_H

#include "espalier/graph.h"
#include "espalier/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ESP_LOG_DEBUG = 0, ESP_LOG_INFO = 1, ESP_LOG_WARNING = 2 };

struct esp_host {
  uint32_t struct_size;
  uint32_t abi_minor;
  void* ctx;
  /* [any] The text of the failure that the current call is about to return. Copied. Kept per thread. */
  void (*set_error)(void* ctx, esp_str text);
  /* [any] One line; the only way for a plugin to print. Copied. */
  void (*log)(void* ctx, int32_t level, esp_str text);
  /* [any] A service by id, or NULL when this host has none or its table is smaller than min_size. Static for ever. */
  const void* (*get_interface)(void* ctx, esp_str id, uint64_t min_size);
};

/* "esp.host.rng/1": counter-based random numbers, keyed by (seed, stream, counter): the same for ever. */
#define ESP_RNG_INTERFACE "esp.host.rng/1"
typedef struct esp_rng {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t (*bits)(uint64_t seed, uint64_t stream, uint64_t counter);
  double (*uniform)(uint64_t seed, uint64_t stream, uint64_t counter); /* in [0,1) */
  double (*normal)(uint64_t seed, uint64_t stream, uint64_t counter);
} esp_rng;

/* Weights of the model in hand: passed with a prune view. Tensors are in the files' own layouts (OIHW, [out,in]). */
typedef struct esp_weights {
  uint32_t struct_size;
  int32_t available; /* 0 on a lone config: every call below fails */
  void* ctx;
  /* [worker] The number of tensors under a block path. */
  uint64_t (*count)(void* ctx, esp_str path);
  /* [worker] Name and type of tensor `index` under a path; the name is valid while the view is. */
  esp_status (*describe)(void* ctx, esp_str path, uint64_t index, esp_str* name, esp_tensor_type* type);
  /* [worker] Elements widened to f32 into `out`, whose capacity must be the tensor's element count. */
  esp_status (*read_f32)(void* ctx, esp_str name, float* out, uint64_t capacity);
} esp_weights;

#ifdef __cplusplus
}
#endif
#endif
