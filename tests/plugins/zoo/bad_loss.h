/* A loss in C with one fault, which the including file writes as FAULT(build, view, difference). */
#ifndef ESPALIER_TESTS_BAD_LOSS_H
#define ESPALIER_TESTS_BAD_LOSS_H

#include <espalier/loss.h>
#include <string.h>

#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }

static esp_str text(const char* from) {
  esp_str out = {from, strlen(from)};
  return out;
}
static int no_state;
static esp_status create(const esp_param_value* values, uint64_t value_count, void** self) {
  (void)values, (void)value_count;
  *self = &no_state;
  return ESP_OK;
}
static void destroy(void* self) { (void)self; }

static esp_status one(const esp_graph_build* build, const char* name, esp_value a, esp_value b, esp_value* result) {
  esp_value inputs[2] = {a, b};
  return build->op(build->ctx, text(name), inputs, b == 0 ? 1 : 2, 0, 0, result);
}
static esp_status emit(void* self, const esp_loss_view* view, esp_loss_sink sink);

static const esp_loss_vtable vtable = {
    .struct_size = sizeof(esp_loss_vtable), .flags = ZOO_FLAGS, .create = create, .destroy = destroy, .emit = emit};
static const esp_component components[] = {{.struct_size = sizeof(esp_component),
                                            .kind = TEXT("esp.loss/1"),
                                            .id = TEXT(ZOO_ID),
                                            .doc = TEXT("a bad loss of the zoo"),
                                            .vtable = &vtable}};
static const esp_plugin plugin = {.magic = ESP_MAGIC,
                                  .struct_size = sizeof(esp_plugin),
                                  .abi_major = ESP_ABI_MAJOR,
                                  .abi_minor = ESP_ABI_MINOR,
                                  .need_opset = ESP_OPSET,
                                  .id = TEXT(ZOO_ID),
                                  .version = TEXT("1.0.0"),
                                  .vendor = TEXT("zoo"),
                                  .license = TEXT("MIT"),
                                  .components = components,
                                  .component_count = 1};

ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t host_major, uint32_t host_minor) {
  (void)host_major, (void)host_minor;
  return &plugin;
}
#endif
