/* espalier plugin ABI 0.9: entry point, components, parameters. C11 and C++20; needs nothing but <stdint.h>.
 *
 * A plugin is one shared library called <name>.esp.so that exports exactly one function, esp_plugin_query_v0.
 *
 * Rules for every struct and function of these headers:
 *
 * ESP-R1: members have fixed widths; enums travel as int32_t, and a reader meets values that it does not know.
 *
 * ESP-R2: struct_size comes first in every struct that is passed by pointer: whoever fills it sets sizeof, whoever reads takes a
 * field only when struct_size covers it. Fields are appended, never moved or removed. Closed, and never appended to in this
 * major, are structs that stand in arrays or in others, are passed by value, or are filled by the one who is called: esp_str,
 * esp_param_spec, esp_param_value, esp_tensor_type, esp_attr, esp_node, esp_graph_node, esp_unit, esp_unit_name, esp_score,
 * esp_unit_statistics, esp_feature_pair, esp_init, esp_floats, every esp_*_sink, esp_place, esp_call, esp_device_info,
 * esp_kernel_choice. What is new of them comes as a service. Components have a stride of their own.
 *
 * ESP-R3: reserved is zero.
 *
 * ESP-R4: strings are UTF-8, pointer and length. They, arrays and tables are borrowed for the call that carries them, unless it
 * says "static for ever".
 *
 * ESP-R5: whoever creates destroys, through the table that it came from. What a plugin hands to a sink is copied.
 *
 * ESP-R6: every fallible function returns esp_status. Before a failure is returned its text has gone to esp_host.set_error; a
 * failure that the host returned already has its text: return the status as it is. No exception, no longjmp, no exit may leave a
 * plugin function.
 *
 * ESP-R7: threads: [main] the thread that loaded the plugin; [worker] any thread, one at a time for each instance, two instances
 * may run at once; [any] several at once. A plugin's own threads may not call the host.
 *
 * ESP-R8: a plugin prints with esp_host.log, draws random numbers with esp.host.rng, writes files with esp.host.artifact, and has
 * no other way to any of it.
 *
 * ESP-R9: handles are numbers, not pointers: one that is stale or made up is refused, not followed.
 *
 * Versions: 0.9 is frozen as what 1.0 will be. A host takes a plugin of its own major whose need_minor it has and whose abi_minor
 * is at least 9; a later minor only appends. Services, kinds and the op set have revisions of their own. */
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
enum { ESP_ABI_MAJOR = 0, ESP_ABI_MINOR = 9, ESP_OPSET = 1 };
enum { ESP_ABI_OLDEST_MINOR = 9 }; /* of a plugin that this host takes */
/* The minor whose hosts a plugin wants to run in: its need_minor. What is newer is tested for with struct_size and `find`. */
#ifndef ESP_TARGET_MINOR
#define ESP_TARGET_MINOR ESP_ABI_OLDEST_MINOR
#endif

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

/* One thing that a plugin offers. kind: "esp.prune/1", "esp.loss/1", "esp.metric/1", "esp.backend/1";
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

/* What the entry point returns; static for ever. The first 16 bytes are frozen across all versions. Components stand
 * components[0].struct_size bytes apart. */
typedef struct esp_plugin {
  uint32_t magic;
  uint32_t struct_size;
  uint16_t abi_major, abi_minor, need_minor, need_opset;
  uint32_t build_flags; /* ESP_BUILD_* */
  uint32_t reserved;
  esp_str id, version, vendor, license;
  const esp_component* components;
  uint64_t component_count;
  /* [main] Called once after the plugin is accepted; `host` may be kept until deinit. May be NULL. Fast: no work before it is
   * asked for. */
  esp_status (*init)(const esp_host* host);
  /* [main] Called once before exit. May be NULL. The library is never unloaded. */
  void (*deinit)(void);
} esp_plugin;

enum { ESP_BUILD_DEBUG = 1u << 0, ESP_BUILD_ASAN = 1u << 1, ESP_BUILD_TSAN = 1u << 2 };

/* [any] The one exported function. Pure, fast, repeatable: no I/O, no threads. NULL refuses the host. */
typedef const esp_plugin* (*esp_plugin_query_fn)(uint32_t host_major, uint32_t host_minor);
#define ESP_QUERY_SYMBOL "esp_plugin_query_v0"

/* What a host reads of a plugin's file without running it: lines of text in the section .esp_manifest, "key value", the first of
 * them "espalier-plugin 1". ESP_PLUGIN of sdk.hpp writes it; in C, once at file scope:
 *
 *   ESP_MANIFEST("com.acme.loss", "1.0.0", "Acme", "MIT", ESP_MANIFEST_COMPONENT("esp.loss/1", "com.acme.loss.mse"));
 *
 * It is optional, and must then say what the entry point says. */
#define ESP_MANIFEST_SECTION ".esp_manifest"
#define ESP_MANIFEST_ABI "0.9"
#if defined(__SANITIZE_ADDRESS__)
#define ESP_MANIFEST_SANITIZER "sanitizer address\n"
#elif defined(__SANITIZE_THREAD__)
#define ESP_MANIFEST_SANITIZER "sanitizer thread\n"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ESP_MANIFEST_SANITIZER "sanitizer address\n"
#elif __has_feature(thread_sanitizer)
#define ESP_MANIFEST_SANITIZER "sanitizer thread\n"
#endif
#endif
#ifndef ESP_MANIFEST_SANITIZER
#define ESP_MANIFEST_SANITIZER ""
#endif
#define ESP_MANIFEST_COMPONENT(kind, id) "component " kind " " id "\n"
#define ESP_MANIFEST(id, version, vendor, license, components)                                                      \
  __attribute__((section(ESP_MANIFEST_SECTION), used, visibility("hidden"))) const char esp_manifest_text[] =       \
      "espalier-plugin 1\nabi " ESP_MANIFEST_ABI "\nopset 1\n" ESP_MANIFEST_SANITIZER "id " id "\nversion " version \
      "\nvendor " vendor "\nlicense " license "\n" components;

#ifdef __cplusplus
}
#endif
#endif
