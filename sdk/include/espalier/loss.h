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

/* How a parameter of a loss starts. */
enum {
  ESP_INIT_ZEROS = 0,
  ESP_INIT_CONSTANT = 1, /* scale everywhere */
  ESP_INIT_NORMAL = 2,   /* mean 0, deviation scale, from the run's seed and the parameter's name */
  ESP_INIT_IDENTITY = 3  /* of [n,m]: scale on the diagonal, else 0 */
};
typedef struct esp_init {
  int32_t kind;
  int32_t reserved;
  double scale;
} esp_init;

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
  /* A trainable f32 tensor of the loss's own: an adapter between widths, a learned weight. The host initialises, optimises,
   * averages and checkpoints it, and leaves it out of the student. `name`: letters, digits, '.', '-', '_', unique in the loss;
   * asking again with the same type gives the same value. At least one term must read it. */
  esp_status (*param)(void* ctx, esp_str name, const esp_tensor_type* type, esp_init init, esp_value* result);
  /* A region with a name: `begin_composite` gives handles of its inputs inside, of which alone the ops up to `end_composite` may
   * read; `end_composite` closes it with its one result and gives the handle outside. A backend may run it as one kernel, by
   * `name` (in reverse-domain form); others inline it, and so does the gradient: the same numbers, perhaps faster. No regions in
   * regions. */
  esp_status (*begin_composite)(void* ctx, esp_str name, const esp_value* inputs, uint64_t input_count, esp_value* inside);
  esp_status (*end_composite)(void* ctx, esp_value result, esp_value* outside);
} esp_graph_build;
#define ESP_GRAPH_BUILD_SERVICE "esp.host.graph-build/1" /* esp_loss_view.build is this table */

/* One feature of the teacher beside the student's: of equal shape, unless the loss has ESP_LOSS_ANY_WIDTH; then the last extent,
 * the channels, may differ. No gradient passes `teacher`. */
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
  const esp_services* services; /* rng, graph-build */
} esp_loss_view;

/* Host-owned sinks. */
typedef struct esp_loss_sink {
  void* ctx;
  /* [worker] A scalar that the loss is the sum of. `label` tells several terms of one loss apart and may be empty when there is
   * one; feature terms are labelled with the student's block path. */
  esp_status (*term)(void* ctx, esp_str label, esp_value scalar);
  /* [worker] A scalar that is logged under <name>/<label> beside the terms, and is not part of the loss. */
  esp_status (*log)(void* ctx, esp_str label, esp_value scalar);
} esp_loss_sink;

/* Properties that the validator checks, and what the host may do. */
enum {
  ESP_LOSS_ANY_WIDTH = 1u << 0,       /* takes pairs whose channels differ */
  ESP_LOSS_ZERO_WHEN_EQUAL = 1u << 1, /* zero where the student's values equal the teacher's and the target */
  ESP_LOSS_NON_NEGATIVE = 1u << 2
};

typedef struct esp_loss_vtable {
  uint32_t struct_size;
  uint32_t flags;       /* ESP_LOSS_* */
  esp_str default_name; /* key of its terms in the metrics; empty: the last part of the component's id */
  /* [main] One instance per use; values in the order of the declared parameters, already checked against them; `*self` is the
   * plugin's own until destroy. A cross-field fault is ESP_INVALID_ARGUMENT with its text. */
  esp_status (*create)(const esp_param_value* values, uint64_t value_count, void** self);
  void (*destroy)(void* self); /* [any] Not while a call of the instance runs. */
  /* [worker] Emits the loss. Called once for each graph that is built; the same view must give the same ops. */
  esp_status (*emit)(void* self, const esp_loss_view* view, esp_loss_sink sink);
} esp_loss_vtable;

#ifdef __cplusplus
}
#endif
#endif
