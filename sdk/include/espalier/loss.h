/* esp.loss/1: a loss reads values of the joint graph (teacher and student on one noisy batch) and emits ops that end in
 * scalar terms. Gradients, every backend, logging and dumping follow for free: a loss is part of the graph. */
#ifndef ESPALIER_LOSS_H
#define ESPALIER_LOSS_H

#include "espalier/graph.h"
#include "espalier/host.h"
#include "espalier/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A handle of a value in the graph that is being built; 0 is none. Valid during the call that gave it: a handle of
 * another call is refused. */
typedef uint64_t esp_value;

/* Appends to the graph. Valid during the call that gave it, as the sink is: keep neither. Every function is [worker], copies what
 * it is given, and on failure has put the reason (which op, which shapes) into the error sink: return the status as it is. */
typedef struct esp_graph_build {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* Any op of `espalier ops` with one result. An absent optional operand is 0. Attributes that are left out have their
   * defaults. */
  esp_status (*op)(void* ctx, esp_str name, const esp_value* inputs, uint64_t input_count, const esp_attr* attrs,
                   uint64_t attr_count, esp_value* result);
  /* An f32 scalar. */
  esp_status (*constant)(void* ctx, double number, esp_value* result);
  esp_status (*describe)(void* ctx, esp_value value, esp_tensor_type* type);
} esp_graph_build;

/* One feature of the teacher beside the student's: of equal shape. No gradient passes `teacher`. */
typedef struct esp_feature_pair {
  uint32_t struct_size;
  uint32_t reserved;
  esp_str teacher_path; /* block paths */
  esp_str student_path;
  esp_value teacher;
  esp_value student;
} esp_feature_pair;

enum { ESP_PREDICT_EPSILON = 0, ESP_PREDICT_V = 1 };

/* What a loss sees. Images are N,H,W,C; everything is f32. */
typedef struct esp_loss_view {
  uint32_t struct_size;
  int32_t prediction_type;
  const esp_graph_build* build;
  esp_value output;              /* the student's prediction */
  esp_value teacher_output;      /* the teacher's; 0 when training without one. No gradient passes it */
  esp_value target;              /* the noise, or the velocity */
  esp_value timestep;            /* [N], 0 to 999 */
  esp_value alpha_bar;           /* [N]: share of the signal's variance at the timestep; 1 - alpha_bar is the noise's */
  const esp_feature_pair* pairs; /* of the parameter of kind ESP_PARAM_PAIRS; none without such a parameter */
  uint64_t pair_count;
} esp_loss_view;

/* Host-owned sinks. */
typedef struct esp_loss_sink {
  void* ctx;
  /* A scalar that the loss is the sum of. `label` tells several terms of one loss apart and may be empty when there is one;
   * feature terms are labelled with the student's block path. */
  esp_status (*term)(void* ctx, esp_str label, esp_value scalar);
} esp_loss_sink;

typedef struct esp_loss_vtable {
  uint32_t struct_size;
  uint32_t reserved;
  esp_str default_name; /* key of its terms in the metrics; empty: the last part of the component's id */
  /* [main] One instance per use; values in the order of the declared parameters. */
  esp_status (*create)(const esp_param_value* values, uint64_t value_count, void** self);
  void (*destroy)(void* self);
  /* [worker] Emits the loss. Called once for each graph that is built; the same view must give the same ops. */
  esp_status (*emit)(void* self, const esp_loss_view* view, esp_loss_sink sink);
} esp_loss_vtable;

#ifdef __cplusplus
}
#endif
#endif
