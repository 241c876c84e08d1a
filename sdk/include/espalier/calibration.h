/* What a pruner can learn of the model's units on real batches. The services are there where the command has data: `distill` with
 * [calibration], `prune --calibrate RECIPE`. Every one works on the same batches, of which `batches` says how many, and on the
 * model as it stands at this call. Units are named by path and kind, as in esp_prune_sink.remove; a unit without a gate (a whole
 * stage) is refused by name. All [worker]; a long call shows its own progress and returns ESP_CANCELLED when the user stops. */
#ifndef ESPALIER_CALIBRATION_H
#define ESPALIER_CALIBRATION_H

#include "espalier/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct esp_unit_name {
  esp_str path;
  int32_t kind; /* ESP_UNIT_* */
  int32_t reserved;
} esp_unit_name;

/* Means over the calibration batches. `task`: mean((prediction - target)^2). `output`: mean((prediction - o)^2), o the prediction
 * of the model with nothing removed. */
typedef struct esp_score {
  double task;
  double output;
} esp_score;

/* The loss with sets of units removed: their gates at zero on one executable, which skips their calls. Sets that agree up to some
 * unit share what comes before it. Set k is units[starts[k]] to units[starts[k+1]] (exclusive): `starts` has set_count + 1
 * elements. An empty set is the model as it is. Cost: about half a forward pass for each set and batch, when each set is one
 * unit. */
#define ESP_EVALUATE_SERVICE "esp.host.evaluate/1"
typedef struct esp_evaluate {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  uint64_t batches;
  esp_status (*evaluate)(void* ctx, const esp_unit_name* units, const uint64_t* starts, uint64_t set_count, esp_score* scores);
} esp_evaluate;

/* d task / d g of each unit's gate, y = x + g (f(x) - x), at g = 1: to first order, what the task loss falls by when the unit
 * goes. All units from one backward pass for each batch. `gradients` has unit_count elements: the mean over batches; `magnitudes`
 * likewise, the mean of |gradient of a batch|; either may be NULL. */
#define ESP_GATE_GRADIENTS_SERVICE "esp.host.gate-gradients/1"
typedef struct esp_gate_gradients {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  uint64_t batches;
  esp_status (*gradients)(void* ctx, const esp_unit_name* units, uint64_t unit_count, double* gradients, double* magnitudes);
} esp_gate_gradients;

/* What a unit does to its input x, y = f(x), over all places of all batches (a place: a pixel or a token; the vectors are over
 * channels). */
typedef struct esp_unit_statistics {
  double cosine;        /* mean of x.y / (|x| |y|) */
  double relative_norm; /* |y - x| / |x|, both Frobenius norms over everything */
} esp_unit_statistics;
#define ESP_STATISTICS_SERVICE "esp.host.statistics/1"
typedef struct esp_statistics {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  uint64_t batches;
  /* One forward pass for each batch, whatever the number of units. */
  esp_status (*statistics)(void* ctx, const esp_unit_name* units, uint64_t unit_count, esp_unit_statistics* out);
} esp_statistics;

/* Milliseconds that each unit's calls take in a forward pass of one batch, measured on this device: the median over runs.
 * Measured anew in each process: not the same for ever. */
#define ESP_LATENCY_SERVICE "esp.host.latency/1"
typedef struct esp_latency {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* `whole`: of the model, may be NULL. */
  esp_status (*latency)(void* ctx, const esp_unit_name* units, uint64_t unit_count, double* ms, double* whole);
} esp_latency;

#ifdef __cplusplus
}
#endif
#endif
