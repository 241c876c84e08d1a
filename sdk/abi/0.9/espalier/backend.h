/* esp.backend/1: compute backends. The host orders the nodes and plans memory; the backend says which nodes it runs,
 * compiles a run of them, and runs it. */
#ifndef ESPALIER_BACKEND_H
#define ESPALIER_BACKEND_H

#include "espalier/graph.h"
#include "espalier/host.h"
#include "espalier/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct esp_device esp_device;             /* an opened device; owned by the backend, freed by close_device */
typedef struct esp_memory esp_memory;             /* an allocation */
typedef struct esp_device_param esp_device_param; /* one model parameter, packed as kernels want it */
typedef struct esp_executable esp_executable;

enum {
  ESP_DEVICE_HOST_ACCESSIBLE = 1u << 0,
  ESP_DEVICE_PLANS_ONLY = 1u << 1 /* a description: `support` answers as the device would, nothing else works */
};

typedef struct esp_device_info {
  uint32_t struct_size;
  uint32_t flags;
  esp_str name;        /* valid while the plugin is loaded */
  esp_str description; /* instruction set, libraries */
  uint64_t memory_bytes;
} esp_device_info;

/* Receives one kernel's refusal. Call once per kernel that was tried and did not accept, best ranked first. */
typedef struct esp_refusal_sink {
  void* ctx;
  void (*refuse)(void* ctx, esp_str kernel, esp_str reason); /* [main] Copies both. May be NULL. */
} esp_refusal_sink;

typedef struct esp_kernel_choice {
  uint32_t struct_size;
  uint32_t reserved;
  esp_str kernel;           /* valid while the plugin is loaded */
  uint64_t workspace_bytes; /* scratch of one run; the host plans it into the arena, 64-byte aligned */
  /* Packed copies of the node's parameters that the device keeps from the first run on, one for each parameter and kernel; none
   * of a parameter that is ESP_PARAM_MAPPED. The host counts them before it runs anything. */
  uint64_t kept_elements;
  uint64_t kept_element_bytes; /* 0: as wide as the parameter's own */
} esp_kernel_choice;

enum {
  ESP_SPACE_NONE = 0,
  ESP_SPACE_ARENA = 1,
  ESP_SPACE_INPUT = 2,
  ESP_SPACE_OUTPUT = 3,
  ESP_SPACE_PARAM = 4,
  ESP_SPACE_CONSTANT = 5
};

/* Place of an operand: a byte offset into the arena, or an index into the arrays of esp_bindings. A result in
 * ESP_SPACE_INPUT is that of an in-place op: it overwrites the input that it is computed from. */
typedef struct esp_place {
  int32_t space;
  int32_t reserved;
  uint64_t at;
} esp_place;

typedef struct esp_call {
  esp_node node;
  const esp_place* inputs;  /* node.input_count of them */
  const esp_place* outputs; /* node.output_count of them */
  uint64_t workspace_offset;
  uint64_t workspace_bytes;
} esp_call;

enum { ESP_COMPILE_TIMED = 1u << 0 };

typedef struct esp_partition {
  uint32_t struct_size;
  uint32_t flags;
  const esp_call* calls;
  uint64_t call_count;
} esp_partition;

enum { ESP_PARAM_MAPPED = 1u << 0 }; /* keep no packed copy: widen at each run, then call drop */

typedef struct esp_host_param {
  uint32_t struct_size;
  uint32_t flags;
  esp_str name;
  esp_tensor_type type; /* dtype of the file: f16, bf16, f32 */
  const void* data;     /* lives as long as the esp_device_param */
  void* drop_ctx;
  void (*drop)(void* ctx); /* [any] "these pages are not needed soon"; may be NULL */
} esp_host_param;

typedef struct esp_bindings {
  uint32_t struct_size;
  uint32_t reserved;
  void* arena;
  const void* const* inputs;
  void* const* outputs;
  const void* const* constants;
  esp_device_param* const* params;
} esp_bindings;

typedef struct esp_backend_vtable {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Must succeed with zero devices. */
  uint64_t (*device_count)(void);
  esp_status (*describe_device)(uint64_t index, esp_device_info* out);
  /* [main] values: one per declared parameter of the component. For an index past the last the error says why there is none. */
  esp_status (*open_device)(uint64_t index, const esp_param_value* values, uint64_t value_count, esp_device** out);
  /* [main] After everything that the device made was freed. */
  void (*close_device)(esp_device* device);
  /* [main] ESP_OK with `out` filled, or ESP_UNSUPPORTED; refusals of kernels ranked before the accepted one go to
   * the sink either way. The answer for one node never changes. */
  esp_status (*support)(esp_device* device, const esp_node* node, esp_kernel_choice* out, esp_refusal_sink sink);
  /* [main] 64-byte aligned at least; large blocks in huge pages where the system has them. */
  esp_status (*allocate)(esp_device* device, uint64_t bytes, esp_memory** out);
  /* [any] Constant for the life of the memory. */
  void* (*memory_data)(esp_memory* memory);
  void (*free_memory)(esp_memory* memory); /* [main] */
  /* [main] Each side in memory of the device or of the host, within one allocation. Done when it returns. */
  esp_status (*copy)(esp_device* device, void* to, const void* from, uint64_t bytes);
  /* [main] Parameters live outside executables and are shared by them. Cheap: packing happens at compile or first run. */
  esp_status (*make_param)(esp_device* device, const esp_host_param* param, esp_device_param** out);
  void (*free_param)(esp_device_param* param); /* [main] After the executables that read it. */
  /* [main] All calls were accepted by `support`. Copies what it needs of the partition. */
  esp_status (*compile)(esp_device* device, const esp_partition* partition, esp_executable** out);
  void (*free_executable)(esp_executable* executable); /* [main] */
  /* [worker] One run at a time per executable. Results do not depend on the number of threads. */
  esp_status (*run)(esp_executable* executable, const esp_bindings* bindings);
  /* [worker] Milliseconds of each call of the last run when compiled with ESP_COMPILE_TIMED; else ESP_UNSUPPORTED. `out` is the
   * caller's, of `capacity` elements, at least as many as the partition has calls. */
  esp_status (*call_times)(esp_executable* executable, double* out, uint64_t capacity);
} esp_backend_vtable;

#ifdef __cplusplus
}
#endif
#endif
