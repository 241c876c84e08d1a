/* The loss of ../loss in C: the squared error of the output over the power of the teacher's. */

#include <espalier/loss.h>

#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }

typedef struct Loss {
  double eps;
  int32_t used;
} Loss;
static Loss instances[16]; /* so that this file needs no allocator */

static const esp_host* host;
static esp_status init(const esp_host* from) {
  host = from;
  return ESP_OK;
}

static esp_status create(const esp_param_value* values, uint64_t count, void** self) {
  static const esp_str full = TEXT("more than 16 instances at once");
  (void)count; /* as many as are declared: the host has checked them */
  for (int i = 0; i < 16; ++i) {
    if (__atomic_exchange_n(&instances[i].used, 1, __ATOMIC_ACQ_REL)) continue;
    instances[i].eps = values[0].float_value;
    *self = &instances[i];
    return ESP_OK;
  }
  host->set_error(host->ctx, full);
  return ESP_OUT_OF_MEMORY;
}
static void destroy(void* self) { __atomic_store_n(&((Loss*)self)->used, 0, __ATOMIC_RELEASE); }

/* name(a, b), or name(a) where b is 0. The host has the reason when it fails. */
static esp_status op(const esp_graph_build* build, esp_str name, esp_value a, esp_value b, esp_value* result) {
  const esp_value inputs[2] = {a, b};
  return build->op(build->ctx, name, inputs, b == 0 ? 1 : 2, 0, 0, result);
}

static esp_status emit(void* self, const esp_loss_view* view, esp_loss_sink sink) {
  static const esp_str sub = TEXT("sub"), square = TEXT("square"), mean = TEXT("reduce_mean"), add = TEXT("add"),
                       divide = TEXT("div");
  static const esp_str no_label = {0, 0};
  const esp_graph_build* build = view->build;
  const esp_value teacher = view->teacher_output;
  esp_value error, power, eps, term;
  esp_status status;
  if (teacher == 0) {
    static const esp_str why = TEXT("compares with a teacher, and there is none");
    host->set_error(host->ctx, why);
    return ESP_INVALID_ARGUMENT;
  }
  if ((status = op(build, sub, view->output, teacher, &error)) != ESP_OK) return status;
  if ((status = op(build, square, error, 0, &error)) != ESP_OK) return status;
  if ((status = op(build, mean, error, 0, &error)) != ESP_OK) return status;
  if ((status = op(build, square, teacher, 0, &power)) != ESP_OK) return status;
  if ((status = op(build, mean, power, 0, &power)) != ESP_OK) return status;
  if ((status = build->constant(build->ctx, ((Loss*)self)->eps, &eps)) != ESP_OK) return status;
  if ((status = op(build, add, power, eps, &power)) != ESP_OK) return status;
  if ((status = op(build, divide, error, power, &term)) != ESP_OK) return status;
  return sink.term(sink.ctx, no_label, term);
}

static const esp_param_spec params[] = {{
    .struct_size = sizeof(esp_param_spec),
    .kind = ESP_PARAM_FLOAT,
    .name = TEXT("eps"),
    .doc = TEXT("floor under the teacher's power"),
    .default_float = 1e-6,
    .min_float = 1e-12,
    .max_float = 1.0,
}};
static const esp_loss_vtable vtable = {.struct_size = sizeof vtable,
                                       .flags = ESP_LOSS_NON_NEGATIVE | ESP_LOSS_ZERO_WHEN_EQUAL,
                                       .create = create, .destroy = destroy, .emit = emit};
static const esp_component components[] = {{
    .struct_size = sizeof(esp_component),
    .kind = TEXT("esp.loss/1"),
    .id = TEXT("com.example.loss.norm-mse-c"),
    .doc = TEXT("Squared error of the output over the power of the teacher's, in C."),
    .params = params,
    .param_count = 1,
    .vtable = &vtable,
}};
static const esp_plugin plugin = {
    .magic = ESP_MAGIC,
    .struct_size = sizeof plugin,
    .abi_major = ESP_ABI_MAJOR,
    .abi_minor = ESP_ABI_MINOR,
    .need_minor = ESP_TARGET_MINOR,
    .need_opset = ESP_OPSET,
    .id = TEXT("com.example.loss-c"),
    .version = TEXT("1.0.0"),
    .vendor = TEXT("Example"),
    .license = TEXT("MIT"),
    .components = components,
    .component_count = 1,
    .init = init,
};
ESP_MANIFEST("com.example.loss-c", "1.0.0", "Example", "MIT", ESP_MANIFEST_COMPONENT("esp.loss/1", "com.example.loss.norm-mse-c"));

ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t host_major, uint32_t host_minor) {
  (void)host_minor;
  return host_major == ESP_ABI_MAJOR ? &plugin : 0;
}
