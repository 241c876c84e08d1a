/* A complete little plugin in C with one pruner. Every animal of the zoo takes it and spoils one thing. */
#ifndef ESPALIER_TESTS_ZOO_H
#define ESPALIER_TESTS_ZOO_H

#include <espalier/prune.h>
#include <string.h>

#define ZOO_TEXT(literal) \
  { literal, sizeof(literal) - 1 }

static const esp_host* zoo_host;

static esp_str zoo_text(const char* text) {
  esp_str out = {text, strlen(text)};
  return out;
}

static esp_status zoo_init(const esp_host* host) {
  zoo_host = host;
  return ESP_OK;
}

static int zoo_self;
static int64_t zoo_count = 1; /* the resolved value of `count`; the zoo makes one instance at a time */

static esp_status zoo_create(const esp_param_value* values, uint64_t value_count, void** self) {
  if (value_count > 0) zoo_count = values[0].int_value;
  *self = &zoo_self;
  return ESP_OK;
}

static void zoo_destroy(void* self) { (void)self; }

/* Removes the first `count` removable units. */
static esp_status zoo_next(void* self, const esp_prune_view* view, esp_prune_sink sink, int32_t* done) {
  int64_t left = zoo_count;
  (void)self;
  for (uint64_t i = 0; i < view->unit_count && left > 0; ++i) {
    if (!view->units[i].removable) continue;
    esp_status status = sink.remove(sink.ctx, view->units[i].path, view->units[i].kind, zoo_text("it stands first"));
    if (status != ESP_OK) return status;
    --left;
  }
  sink.note(sink.ctx, zoo_text("counted from the front"));
  *done = 1;
  return ESP_OK;
}

static esp_param_spec zoo_params[1] = {{.struct_size = sizeof(esp_param_spec),
                                        .kind = ESP_PARAM_INT,
                                        .name = ZOO_TEXT("count"),
                                        .doc = ZOO_TEXT("how many units go"),
                                        .default_int = 1,
                                        .min_int = 0,
                                        .max_int = 64}};

static esp_prune_vtable zoo_vtable = {
    .struct_size = sizeof(esp_prune_vtable), .create = zoo_create, .destroy = zoo_destroy, .next = zoo_next};

static esp_component zoo_components[2] = {{.struct_size = sizeof(esp_component),
                                           .kind = ZOO_TEXT("esp.prune/1"),
                                           .doc = ZOO_TEXT("an animal of the zoo"),
                                           .params = zoo_params,
                                           .param_count = 1,
                                           .vtable = &zoo_vtable}};

static esp_plugin zoo_table = {.magic = ESP_MAGIC,
                               .struct_size = sizeof(esp_plugin),
                               .abi_major = ESP_ABI_MAJOR,
                               .abi_minor = ESP_ABI_MINOR,
                               .need_opset = ESP_OPSET,
                               .version = ZOO_TEXT("1.0.0"),
                               .vendor = ZOO_TEXT("zoo"),
                               .license = ZOO_TEXT("MIT"),
                               .components = zoo_components,
                               .component_count = 1,
                               .init = zoo_init};

/* The good plugin called `id`, whose component has the same id. */
static esp_plugin* zoo_plugin(const char* id) {
  zoo_table.id = zoo_text(id);
  zoo_components[0].id = zoo_text(id);
  return &zoo_table;
}

/* The entry point: `spoil` sees `plugin` and the arrays above. */
#define ZOO_QUERY(id, spoil)                                                                   \
  ESP_EXPORT const esp_plugin* esp_plugin_query_v0(uint32_t host_major, uint32_t host_minor) { \
    esp_plugin* plugin = zoo_plugin(id);                                                       \
    (void)host_major, (void)host_minor;                                                        \
    spoil;                                                                                     \
    return plugin;                                                                             \
  }

#endif
