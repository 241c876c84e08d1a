/* esp.metric/1: a metric compares student and teacher on held-out rows and gives numbers, which are logged as val/<name>; stages'
 * gates and sweeps go by them as by any other. It trains nothing, and may be written in any language that reads arrays. */
#ifndef ESPALIER_METRIC_H
#define ESPALIER_METRIC_H

#include "espalier/graph.h"
#include "espalier/host.h"
#include "espalier/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a metric reads, one of them: the host computes nothing else. */
enum {
  ESP_METRIC_OUTPUTS = 1u << 0, /* predictions on held-out batches at fixed noise and timesteps */
  ESP_METRIC_PICTURES = 1u << 1 /* pictures of held-out rows, drawn by both models from equal seeds */
};

/* Dense row-major f32 values; data NULL where there are none. */
typedef struct esp_floats {
  esp_tensor_type type;
  const float* data;
} esp_floats;

/* One batch. Images are N,H,W,C. */
typedef struct esp_metric_view {
  uint32_t struct_size;
  uint32_t reserved;
  /* With ESP_METRIC_OUTPUTS. */
  esp_floats student_output, teacher_output, target;
  esp_floats timestep; /* [N] */
  /* With ESP_METRIC_PICTURES: colours from 0 to 1; 3 channels, or the latents' own where the data has no pictures. */
  esp_floats student_pictures, teacher_pictures;
  const esp_services* services; /* rng, cancel */
} esp_metric_view;

typedef struct esp_metric_sink {
  void* ctx;
  /* [worker] A number of this batch. The metric is the mean over batches, weighted by rows. An empty label is the metric itself;
   * others are logged as <name>/<label>. Must be finite. */
  esp_status (*value)(void* ctx, esp_str label, double value);
} esp_metric_sink;

typedef struct esp_metric_vtable {
  uint32_t struct_size;
  uint32_t reads;       /* ESP_METRIC_* */
  esp_str default_name; /* key of its numbers after val/; empty: the last part of the component's id */
  /* [main] One instance per use; values in the order of the declared parameters, already checked against them; `*self` is the
   * plugin's own until destroy. A cross-field fault is ESP_INVALID_ARGUMENT with its text. */
  esp_status (*create)(const esp_param_value* values, uint64_t value_count, void** self);
  void (*destroy)(void* self); /* [any] Not while a call of the instance runs. */
  /* [worker] The numbers of one batch into the sink. The same batch must give the same numbers. */
  esp_status (*measure)(void* self, const esp_metric_view* view, esp_metric_sink sink);
} esp_metric_vtable;

#ifdef __cplusplus
}
#endif
#endif
