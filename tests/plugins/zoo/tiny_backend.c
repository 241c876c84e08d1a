/* A whole backend in C: add, mul and linear in f32. Proves that the ABI needs nothing but C, and gives the tests a
 * backend whose every step can be counted. */
#include <espalier/backend.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }

struct esp_device {
  int64_t refuse_over; /* parameter `refuse-over`: linear refuses more outputs than this */
};
struct esp_memory {
  void* data;
};
struct esp_device_param {
  const float* data;
  uint32_t flags;
  void* drop_ctx;
  void (*drop)(void*);
};
enum op { ADD, MUL, LINEAR };
struct step {
  enum op op;
  int64_t rows, columns, inner; /* add, mul: rows = 1, columns = elements */
  int has_bias, timed;
  esp_place in[3], out;
  uint64_t workspace;
};
struct esp_executable {
  uint64_t count;
  struct step* steps;
  double* ms;
};

static const esp_host* host;
static esp_str text(const char* t) {
  esp_str out = {t, strlen(t)};
  return out;
}
static esp_status fail(const char* t, esp_status status) {
  host->set_error(host->ctx, text(t));
  return status;
}
static int is(esp_str a, const char* b) { return a.size == strlen(b) && memcmp(a.data, b, a.size) == 0; }
static int64_t elements(const esp_tensor_type* type) {
  int64_t count = 1;
  for (int32_t i = 0; i < type->rank; ++i) count *= type->dims[i];
  return count;
}

static uint64_t device_count(void) { return 1; }
static esp_status describe_device(uint64_t index, esp_device_info* out) {
  (void)index;
  out->flags = ESP_DEVICE_HOST_ACCESSIBLE;
  out->name = text("tiny");
  out->description = text("add, mul and linear in plain C");
  out->memory_bytes = 0;
  return ESP_OK;
}
static esp_status open_device(uint64_t index, const esp_param_value* values, uint64_t count, esp_device** out) {
  (void)index;
  if (count != 1) return fail("want one parameter", ESP_INVALID_ARGUMENT);
  *out = malloc(sizeof(esp_device));
  (*out)->refuse_over = values[0].int_value;
  return ESP_OK;
}
static void close_device(esp_device* device) { free(device); }

/* The only question that has an answer: NULL when the node can run, else why not. */
static const char* refusal(const esp_device* device, const esp_node* node) {
  for (uint64_t i = 0; i < node->input_count; ++i)
    if (node->inputs[i].dtype != ESP_F32 && node->inputs[i].dtype != ESP_DTYPE_NONE) return "operands are not f32";
  if (is(node->op, "add") || is(node->op, "mul")) {
    if (node->input_is_param[0] || node->input_is_param[1]) return "an operand is a parameter";
    if (elements(&node->inputs[0]) != elements(&node->outputs[0]) || elements(&node->inputs[1]) != elements(&node->outputs[0]))
      return "it would have to broadcast";
    return 0;
  }
  if (is(node->op, "linear")) {
    if (!node->input_is_param[1] || node->input_is_param[0]) return "the weight is not a parameter, or x is one";
    if (node->inputs[1].rank != 2) return "the weight is not a matrix";
    if (node->inputs[1].dims[0] > device->refuse_over) return "too many outputs";
    return 0;
  }
  return "unknown op";
}

static esp_status support(esp_device* device, const esp_node* node, esp_kernel_choice* out, esp_refusal_sink sink) {
  const char* why = refusal(device, node);
  if (why) {
    sink.refuse(sink.ctx, text("tiny_c"), text(why));
    return ESP_UNSUPPORTED;
  }
  out->kernel = text("tiny_c");
  out->workspace_bytes = is(node->op, "linear") ? (uint64_t)node->inputs[1].dims[1] * sizeof(float) : 0;
  return ESP_OK;
}

static esp_status allocate(esp_device* device, uint64_t bytes, esp_memory** out) {
  (void)device;
  *out = malloc(sizeof(esp_memory));
  (*out)->data = aligned_alloc(64, (bytes + 127) / 64 * 64);
  return ESP_OK;
}
static void* memory_data(esp_memory* memory) { return memory->data; }
static void free_memory(esp_memory* memory) {
  free(memory->data);
  free(memory);
}
static esp_status copy(esp_device* device, void* to, const void* from, uint64_t bytes) {
  (void)device;
  memcpy(to, from, bytes);
  return ESP_OK;
}
static esp_status make_param(esp_device* device, const esp_host_param* param, esp_device_param** out) {
  (void)device;
  if (param->type.dtype != ESP_F32) return fail("parameters must be f32", ESP_INVALID_ARGUMENT);
  *out = malloc(sizeof(esp_device_param));
  (*out)->data = param->data;
  (*out)->flags = param->flags;
  (*out)->drop_ctx = param->drop_ctx;
  (*out)->drop = param->drop;
  return ESP_OK;
}
static void free_param(esp_device_param* param) { free(param); }

static esp_status compile(esp_device* device, const esp_partition* partition, esp_executable** out) {
  (void)device;
  esp_executable* made = malloc(sizeof *made);
  made->count = partition->call_count;
  made->steps = calloc(made->count, sizeof(struct step));
  made->ms = calloc(made->count, sizeof(double));
  for (uint64_t i = 0; i < made->count; ++i) {
    const esp_call* call = &partition->calls[i];
    struct step* step = &made->steps[i];
    step->op = is(call->node.op, "add") ? ADD : is(call->node.op, "mul") ? MUL : LINEAR;
    step->rows = 1;
    step->columns = elements(&call->node.outputs[0]);
    if (step->op == LINEAR) {
      step->inner = call->node.inputs[1].dims[1];
      step->columns = call->node.inputs[1].dims[0];
      step->rows = elements(&call->node.inputs[0]) / step->inner;
      step->has_bias = call->node.input_count > 2 && call->node.inputs[2].dtype != ESP_DTYPE_NONE;
    }
    for (uint64_t k = 0; k < call->node.input_count && k < 3; ++k) step->in[k] = call->inputs[k];
    step->out = call->outputs[0];
    step->workspace = call->workspace_offset;
  }
  *out = made;
  return ESP_OK;
}
static void free_executable(esp_executable* executable) {
  free(executable->steps);
  free(executable->ms);
  free(executable);
}

static const float* find(const esp_bindings* at, esp_place place) {
  switch (place.space) {
    case ESP_SPACE_ARENA:
      return (const float*)((const char*)at->arena + place.at);
    case ESP_SPACE_INPUT:
      return at->inputs[place.at];
    case ESP_SPACE_OUTPUT:
      return at->outputs[place.at];
    case ESP_SPACE_CONSTANT:
      return at->constants[place.at];
    case ESP_SPACE_PARAM:
      return at->params[place.at]->data;
    default:
      return 0;
  }
}
static void drop(const esp_bindings* at, esp_place place) {
  if (place.space != ESP_SPACE_PARAM) return;
  const esp_device_param* param = at->params[place.at];
  if ((param->flags & ESP_PARAM_MAPPED) && param->drop) param->drop(param->drop_ctx);
}

static void run_linear(const struct step* step, const float* x, const float* weight, const float* bias, float* row, float* out) {
  for (int64_t r = 0; r < step->rows; ++r) {
    memcpy(row, x + r * step->inner, (size_t)step->inner * sizeof(float)); /* uses the workspace, so that its place is tested */
    for (int64_t c = 0; c < step->columns; ++c) {
      double sum = bias ? bias[c] : 0;
      for (int64_t k = 0; k < step->inner; ++k) sum += (double)row[k] * weight[c * step->inner + k];
      out[r * step->columns + c] = (float)sum;
    }
  }
}

static esp_status run(esp_executable* executable, const esp_bindings* at) {
  for (uint64_t i = 0; i < executable->count; ++i) {
    const struct step* step = &executable->steps[i];
    const float* a = find(at, step->in[0]);
    const float* b = find(at, step->in[1]);
    float* out = (float*)find(at, step->out);
    struct timespec begin, end;
    timespec_get(&begin, TIME_UTC);
    if (step->op == LINEAR) {
      run_linear(step, a, b, step->has_bias ? find(at, step->in[2]) : 0, (float*)((char*)at->arena + step->workspace), out);
      drop(at, step->in[1]);
    } else {
      for (int64_t k = 0; k < step->columns; ++k) out[k] = step->op == ADD ? a[k] + b[k] : a[k] * b[k];
    }
    timespec_get(&end, TIME_UTC);
    executable->ms[i] = (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
  }
  return ESP_OK;
}
static esp_status call_times(esp_executable* executable, double* out, uint64_t capacity) {
  if (capacity < executable->count) return fail("too little room for the times", ESP_INVALID_ARGUMENT);
  memcpy(out, executable->ms, executable->count * sizeof(double));
  return ESP_OK;
}
static esp_status init(const esp_host* from) {
  host = from;
  return ESP_OK;
}

static const esp_backend_vtable vtable = {sizeof(esp_backend_vtable),
                                          0,
                                          device_count,
                                          describe_device,
                                          open_device,
                                          close_device,
                                          support,
                                          allocate,
                                          memory_data,
                                          free_memory,
                                          copy,
                                          make_param,
                                          free_param,
                                          compile,
                                          free_executable,
                                          run,
                                          call_times};
static const esp_param_spec params[] = {{.struct_size = sizeof(esp_param_spec),
                                         .kind = ESP_PARAM_INT,
                                         .name = TEXT("refuse-over"),
                                         .doc = TEXT("linear refuses more outputs than this"),
                                         .default_int = 1024,
                                         .min_int = 0,
                                         .max_int = 1 << 20}};
static const esp_component components[] = {{.struct_size = sizeof(esp_component),
                                            .kind = TEXT("esp.backend/1"),
                                            .id = TEXT("zoo.backend.tiny"),
                                            .doc = TEXT("add, mul and linear in plain C"),
                                            .params = params,
                                            .param_count = 1,
                                            .vtable = &vtable}};
static const esp_plugin plugin = {.magic = ESP_MAGIC,
                                  .struct_size = sizeof(esp_plugin),
                                  .abi_major = ESP_ABI_MAJOR,
                                  .abi_minor = ESP_ABI_MINOR,
                                  .need_opset = ESP_OPSET,
                                  .id = TEXT("zoo.tiny"),
                                  .version = TEXT("1.0.0"),
                                  .vendor = TEXT("zoo"),
                                  .license = TEXT("MIT"),
                                  .components = components,
                                  .component_count = 1,
                                  .init = init};

ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t host_major, uint32_t host_minor) {
  (void)host_major, (void)host_minor;
  return &plugin;
}
