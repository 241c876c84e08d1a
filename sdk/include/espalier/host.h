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

/* Services of one call, passed with the call's view. `find` gives a table by id, or NULL where this host has none for this call
 * or its table is smaller than min_size: a plugin that can do without says so in its docs, one that cannot returns
 * ESP_UNSUPPORTED. The table is valid during the call. An id is "name/revision"; a table grows within a revision. */
typedef struct esp_services {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* [worker] */
  const void* (*find)(void* ctx, esp_str id, uint64_t min_size);
} esp_services;

/* Counter-based random numbers, keyed by (seed, stream, counter): the same for ever. Of esp_host.get_interface too. [any] */
#define ESP_RNG_SERVICE "esp.host.rng/1"
typedef struct esp_rng {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t (*bits)(uint64_t seed, uint64_t stream, uint64_t counter);
  double (*uniform)(uint64_t seed, uint64_t stream, uint64_t counter); /* in [0,1) */
  double (*normal)(uint64_t seed, uint64_t stream, uint64_t counter);
} esp_rng;

/* Whether the user has asked to stop: return ESP_CANCELLED soon. Of esp_host.get_interface too. [any] */
#define ESP_CANCEL_SERVICE "esp.host.cancel/1"
typedef struct esp_cancel {
  uint32_t struct_size;
  uint32_t reserved;
  int32_t (*requested)(void);
} esp_cancel;

/* Named numbers: of a pruner the newest of the run (the last row of metrics and validation), none before the first step. */
#define ESP_METRICS_SERVICE "esp.host.metrics/1"
typedef struct esp_metrics {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  uint64_t (*count)(void* ctx); /* [worker] */
  /* [worker] The name is valid while the view is. */
  esp_status (*get)(void* ctx, uint64_t index, esp_str* name, double* value);
  /* [worker] ESP_INVALID_ARGUMENT, with the nearest names, where there is none called so. */
  esp_status (*find)(void* ctx, esp_str name, double* value);
} esp_metrics;

/* Files that the host keeps with what the call leads to: PRUNED/artifacts/ or RUN/artifacts/stage-K/. */
#define ESP_ARTIFACT_SERVICE "esp.host.artifact/1"
typedef struct esp_artifact {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* [worker] name: letters, digits, '.', '-', '_', not beginning with a dot. A second file of one name replaces the first. The
   * bytes are copied. At most 64 MiB for each call of the plugin. */
  esp_status (*write)(void* ctx, esp_str name, const uint8_t* data, uint64_t size);
} esp_artifact;

/* Weights of the model in hand. Tensors are in the files' own layouts (OIHW, [out,in]). Absent on a lone config. */
#define ESP_WEIGHTS_SERVICE "esp.host.weights/1"
typedef struct esp_weights {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* [worker] The number of tensors under a block path. */
  uint64_t (*count)(void* ctx, esp_str path);
  /* [worker] Name and type of tensor `index` under a path; the name is valid while the view is. */
  esp_status (*describe)(void* ctx, esp_str path, uint64_t index, esp_str* name, esp_tensor_type* type);
  /* [worker] Elements widened to f32 into `out`, whose capacity must be the tensor's element count. */
  esp_status (*read_f32)(void* ctx, esp_str name, float* out, uint64_t capacity);
} esp_weights;

/* The model's graph, at batch 1 and the config's size: nodes in execution order. */
#define ESP_GRAPH_READ_SERVICE "esp.host.graph-read/1"
enum { ESP_NODE_OP = 0, ESP_NODE_INPUT = 1, ESP_NODE_PARAM = 2, ESP_NODE_CONSTANT = 3 };
typedef struct esp_graph_node {
  uint32_t struct_size;
  int32_t kind;            /* ESP_NODE_* */
  esp_node node;           /* op and types; of an input or a parameter op is empty and path its name */
  const int64_t* operands; /* node.input_count of them: index of the node that makes each, -1 for an absent one */
} esp_graph_node;
typedef struct esp_graph_read {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* [worker] */
  uint64_t (*count)(void* ctx);
  /* [worker] What `node` points at is valid until the next call of `get`. */
  esp_status (*get)(void* ctx, uint64_t index, esp_graph_node* node);
} esp_graph_read;

#ifdef __cplusplus
}
#endif
#endif
