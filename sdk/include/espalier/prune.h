/* esp.prune/1: a pruner reads the removable units of a model and returns rows (path, reason). The host does the
 * surgery, checks every row, and records the reason in the removal plan.
 *
 * A schedule: `next` is asked again and again, each time about what the rows before left, until it says that it is done. `prune`,
 * and a lone [[stage]] of a recipe, ask it to the end at once. [[stage]]s with equal `prune` tables share one instance: each asks
 * once, with the metrics of the stage before, and the last of them to the end; between them its state is saved with the
 * checkpoint and restored. */
#ifndef ESPALIER_PRUNE_H
#define ESPALIER_PRUNE_H

#include "espalier/calibration.h"
#include "espalier/graph.h"
#include "espalier/host.h"
#include "espalier/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ESP_UNIT_TRANSFORMER_BLOCK = 1, /* down_blocks.2.attentions.0.transformer_blocks.3 */
  ESP_UNIT_ATTENTION = 2,         /* an attention module with all its transformer blocks */
  ESP_UNIT_RESNET = 3,            /* a resnet of constant width */
  ESP_UNIT_PAIR = 4,              /* (resnet, attention) at one place of a stage; path is the resnet's */
  ESP_UNIT_MID_BLOCK = 5,         /* the whole mid block */
  ESP_UNIT_MID_TAIL = 6,          /* attention and second resnet of the mid block at once; path is the attention's */
  ESP_UNIT_STAGE = 7,             /* the innermost down and up stage together; path is the down stage's */
  ESP_UNIT_MODULE = 8             /* anything else of the tree: listed so that its structure can be read, not removable */
};

/* One unit. Several rows may be needed together for a unit: `rows` are the block paths whose removal it means; a
 * pruner removes the unit by naming `path` and its kind in esp_removal. */
typedef struct esp_unit {
  uint32_t struct_size;
  int32_t kind;
  esp_str path;
  esp_str module;   /* TRANSFORMER_BLOCK: the attention module that holds it; else the parent's path */
  int64_t index;    /* position in its module or stage */
  int64_t siblings; /* how many stand there */
  int64_t parameters;
  double flops; /* at batch 1, sample_size², 77 tokens; a multiply-add is 2 */
  double bytes; /* weights and activations moved, f32 */
  int32_t removable;
  int32_t reserved;
  esp_str why_not;     /* when not removable */
  int64_t in_shape[4]; /* N,H,W,C of its input at that size; 0 where it has none */
  int64_t out_shape[4];
  const esp_str* skip_partners; /* block paths that read what this unit feeds into a skip, or that feed its skip */
  uint64_t skip_partner_count;
} esp_unit;

/* The model as a pruner sees it. */
typedef struct esp_prune_view {
  uint32_t struct_size;
  int32_t stage;         /* which call of next this is, from 0 */
  const esp_unit* units; /* of the current student, in execution order */
  uint64_t unit_count;
  esp_str config_json; /* the current student's unet/config.json */
  uint64_t seed;       /* the run's seed */
  int64_t parameters;  /* of the whole model */
  double flops;        /* of the whole model, as a unit's */
  /* rng, cancel, weights, metrics, artifact, graph-read, and with data evaluate, gate-gradients, statistics,
   * latency */
  const esp_services* services;
} esp_prune_view;

/* Host-owned sinks: everything is copied. Valid during the call. */
typedef struct esp_prune_sink {
  void* ctx;
  /* [worker] Fails on an unknown path (with the nearest), a unit that cannot be removed (why), one that is removed twice. */
  esp_status (*remove)(void* ctx, esp_str path, int32_t kind, esp_str reason);
  /* [worker] A warning that is printed and written into the plan's header, e.g. "origin inferred". */
  void (*note)(void* ctx, esp_str text);
} esp_prune_sink;

typedef struct esp_prune_vtable {
  uint32_t struct_size;
  uint32_t reserved;
  /* [main] One instance per use; values in the order of the declared parameters, already checked against them; `*self` is the
   * plugin's own until destroy. A cross-field fault is ESP_INVALID_ARGUMENT with its text. */
  esp_status (*create)(const esp_param_value* values, uint64_t value_count, void** self);
  void (*destroy)(void* self); /* [any] Not while a call of the instance runs. */
  /* [worker] Rows of this call into the sink; *done = 1 when nothing is left to remove after it. The same model, seed, metrics
   * and state must give the same rows. */
  esp_status (*next)(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done);
  /* [worker] State as bytes for exact resume; both NULL for a stateless pruner. Count-then-fill: with out NULL only *size is set;
   * else *size is the capacity, and then what was written. */
  esp_status (*save)(void* self, uint8_t* out, uint64_t* size);
  /* [worker] On a fresh instance with the same parameters. Bytes of any kind are met with a status, never with a crash. */
  esp_status (*load)(void* self, const uint8_t* data, uint64_t size);
} esp_prune_vtable;

#ifdef __cplusplus
}
#endif
#endif
