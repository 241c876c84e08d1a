/* espalier plugin ABI 0.1: entry point, components, parameters. C11 and C++20; needs nothing but <stdint.h>.
 *
 * A plugin is one shared library called <name>.esp.so that exports exactly one function, esp_plugin_query_v0.
 * Rules for every struct here: fixed-width members, struct_size first where the struct may grow (set it to
 * sizeof; a reader takes a field only when struct_size covers it), enums are int32_t, strings are UTF-8 pointer and
 * length and borrowed for the call unless said otherwise. No exception may leave a plugin function.
 * Threads: [main] the thread that loaded the plugin; [worker] any thread, one at a time per instance; [any] several at once.
 * The ABI is 0.x: it may change with every minor until it is declared stable; host and plugin must then agree exactly. */
#ifndef ESPALIER_PLUGIN_H
#define ESPALIER_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ESP_EXPORT __attribute__((visibility("default")))
#else
#define ESP_EXPORT
#endif

enum { ESP_MAGIC = 0x45535031 }; /* "ESP1" */
enum { ESP_ABI_MAJOR = 0, ESP_ABI_MINOR = 1, ESP_OPSET = 1 };

/* UTF-8 text; not NUL-terminated. data may be NULL when size is 0. */
typedef struct esp_str {
  const char* data;
  uint64_t size;
} esp_str;

/* Result of every fallible call. On failure the callee has put text into the host's sink with esp_host.set_error. */
typedef int32_t esp_status;
enum { ESP_OK = 0, ESP_FAILED = 1, ESP_UNSUPPORTED = 2, ESP_INVALID_ARGUMENT = 3, ESP_OUT_OF_MEMORY = 4, ESP_CANCELLED = 5 };

typedef struct esp_host esp_host; /* host.h */

/* Kinds of parameter. A path glob is a string that the host resolves against block paths. */
enum {
  ESP_PARAM_BOOL = 1,
  ESP_PARAM_INT = 2,
  ESP_PARAM_FLOAT = 3,
  ESP_PARAM_STRING = 4,
  ESP_PARAM_CHOICE = 5,
  ESP_PARAM_GLOBS = 6,
  ESP_PARAM_PAIRS = 7 /* pairs of features, resolved by the host: a granularity or a list of {teacher, student} paths */
};
enum { ESP_PARAM_REQUIRED = 1u << 0 };

/* One parameter, declared once: the host validates TOML and --set against it, fills defaults, prints it in
 * `plugin show`. Numbers: minimum and maximum are inclusive; a float's are in min_float, max_float. */
typedef struct esp_param_spec {
  uint32_t struct_size;
  int32_t kind;
  uint32_t flags;
  uint32_t reserved;
  esp_str name;
  esp_str doc;
  int64_t default_int, min_int, max_int; /* BOOL: default_int 0 or 1 */
  double default_float, min_float, max_float;
  esp_str default_string; /* STRING, CHOICE; GLOBS: one glob or empty; PAIRS: a granularity */
  const esp_str* choices;
  uint64_t choice_count;
} esp_param_spec;

/* One resolved value, in the order of the component's specs. GLOBS come as a list of strings; PAIRS as a granularity in
 * string_value, or as strings teacher0, student0, teacher1, … */
typedef struct esp_param_value {
  int32_t kind;
  int32_t is_set; /* the user gave it; otherwise it is the default */
  int64_t int_value;
  double float_value;
  esp_str string_value;
  const esp_str* strings;
  uint64_t string_count;
} esp_param_value;

/* One thing that a plugin offers. kind: "esp.prune/1", "esp.loss/1", "esp.backend/1" (later "esp.metric/1");
 * an unknown kind is listed and ignored. vtable: the struct of that kind's header, static for ever. */
typedef struct esp_component {
  uint32_t struct_size;
  uint32_t reserved;
  esp_str kind;
  esp_str id; /* reverse-domain or espalier.*: "espalier.prune.ssd-1b" */
  esp_str doc;
  const esp_param_spec* params;
  uint64_t param_count;
  const void* vtable;
} esp_component;

/* What the entry point returns; static for ever. The first 16 bytes are frozen across all versions. */
typedef struct esp_plugin {
  uint32_t magic;
  uint32_t struct_size;
  uint16_t abi_major, abi_minor, need_minor, need_opset;
  uint32_t build_flags; /* ESP_BUILD_* */
  uint32_t reserved;
  esp_str id, version, vendor, license;
  const esp_component* components;
  uint64_t component_count;
  /* [main] Called once after the plugin is accepted; keeps `host` until deinit. May be NULL. */
  esp_status (*init)(const esp_host* host);
  /* [main] Called once before exit. May be NULL. The library is never unloaded. */
  void (*deinit)(void);
} esp_plugin;

enum { ESP_BUILD_DEBUG = 1u << 0, ESP_BUILD_ASAN = 1u << 1, ESP_BUILD_TSAN = 1u << 2 };

/* [any] The one exported function. Pure, fast, repeatable: no I/O, no threads. NULL refuses the host. */
typedef const esp_plugin* (*esp_plugin_query_fn)(uint32_t host_major, uint32_t host_minor);
#define ESP_QUERY_SYMBOL "esp_plugin_query_v0"

#ifdef __cplusplus
}
#endif
#endif
