/* A loss in C: the mean squared error of the output, or one fault of those that a loss can commit. */
#include <espalier/loss.h>
#include <string.h>

#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }

static esp_str text(const char* from) {
  esp_str out = {from, strlen(from)};
  return out;
}

static char fault[32];
static esp_value kept; /* a handle of an earlier call */

static esp_status create(const esp_param_value* values, uint64_t value_count, void** self) {
  if (value_count != 1 || values[0].string_value.size >= sizeof fault) return ESP_INVALID_ARGUMENT;
  memcpy(fault, values[0].string_value.data, values[0].string_value.size);
  fault[values[0].string_value.size] = 0;
  *self = fault;
  return ESP_OK;
}
static void destroy(void* self) { (void)self; }

static int is(const char* name) { return strcmp(fault, name) == 0; }

static esp_status one(const esp_graph_build* build, const char* name, esp_value a, esp_value b, esp_value* result) {
  esp_value inputs[2] = {a, b};
  return build->op(build->ctx, text(name), inputs, b == 0 ? 1 : 2, 0, 0, result);
}

static esp_status emit(void* self, const esp_loss_view* view, esp_loss_sink sink) {
  const esp_graph_build* build = view->build;
  esp_value difference, squared, term;
  esp_status status;
  (void)self;
  if (is("stale-handle") && kept != 0) return one(build, "square", kept, 0, &squared);
  kept = view->output;
  if (is("made-up-handle")) return one(build, "square", (view->output & ~(uint64_t)0xffffffff) | 4000, 0, &squared);
  if (is("unknown-op")) return one(build, "sqare", view->output, 0, &squared);
  if (is("bad-shapes")) return one(build, "sub", view->output, view->alpha_bar, &difference);
  if (is("null-operands")) return build->op(build->ctx, text("square"), 0, 1, 0, 0, &squared);
  if (is("null-list")) {
    esp_attr attr = {.name = TEXT("axes"), .kind = ESP_ATTR_INTS, .count = 3};
    return build->op(build->ctx, text("reduce_mean"), &view->output, 1, &attr, 1, &term);
  }
  if (is("no-elements")) {
    int64_t shape[] = {0};
    esp_attr attr = {.name = TEXT("shape"), .kind = ESP_ATTR_INTS, .ints = shape, .count = 1};
    if ((status = build->constant(build->ctx, 1, &term)) != ESP_OK) return status;
    return build->op(build->ctx, text("broadcast"), &term, 1, &attr, 1, &squared);
  }
  if (is("unknown-attribute")) {
    esp_attr attr = {.name = TEXT("axis"), .kind = ESP_ATTR_INT, .int_value = 1};
    return build->op(build->ctx, text("reduce_mean"), &view->output, 1, &attr, 1, &term);
  }
  if ((status = one(build, "sub", view->output, view->target, &difference)) != ESP_OK) return status;
  if ((status = one(build, "square", difference, 0, &squared)) != ESP_OK) return status;
  if ((status = one(build, "reduce_mean", squared, 0, &term)) != ESP_OK) return status;
  return sink.term(sink.ctx, text(""), term);
}

static const esp_str choices[] = {TEXT("none"),          TEXT("stale-handle"), TEXT("made-up-handle"),
                                  TEXT("unknown-op"),    TEXT("bad-shapes"),   TEXT("unknown-attribute"),
                                  TEXT("null-operands"), TEXT("null-list"),    TEXT("no-elements")};
static const esp_param_spec params[] = {{.struct_size = sizeof(esp_param_spec),
                                         .kind = ESP_PARAM_CHOICE,
                                         .name = TEXT("fault"),
                                         .doc = TEXT("what goes wrong"),
                                         .default_string = TEXT("none"),
                                         .choices = choices,
                                         .choice_count = sizeof choices / sizeof choices[0]}};
static const esp_loss_vtable vtable = {
    .struct_size = sizeof(esp_loss_vtable), .create = create, .destroy = destroy, .emit = emit};
static const esp_component components[] = {{.struct_size = sizeof(esp_component),
                                            .kind = TEXT("esp.loss/1"),
                                            .id = TEXT("zoo.loss"),
                                            .doc = TEXT("a loss of the zoo"),
                                            .params = params,
                                            .param_count = 1,
                                            .vtable = &vtable}};
static const esp_plugin plugin = {.magic = ESP_MAGIC,
                                  .struct_size = sizeof(esp_plugin),
                                  .abi_major = ESP_ABI_MAJOR,
                                  .abi_minor = ESP_ABI_MINOR,
                                  .need_opset = ESP_OPSET,
                                  .id = TEXT("zoo.loss"),
                                  .version = TEXT("1.0.0"),
                                  .vendor = TEXT("zoo"),
                                  .license = TEXT("MIT"),
                                  .components = components,
                                  .component_count = 1};

ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t host_major, uint32_t host_minor) {
  (void)host_major, (void)host_minor;
  return &plugin;
}
