/* The layout as a C11 compiler sees it. */
#include <espalier/backend.h>
#include <espalier/calibration.h>
#include <espalier/graph.h>
#include <espalier/host.h>
#include <espalier/loss.h>
#include <espalier/metric.h>
#include <espalier/plugin.h>
#include <espalier/prune.h>
#include <stddef.h>
#include <stdio.h>

int abi_layout_in_c(char* out, size_t capacity);

#define ADD(...) \
  used += (size_t)snprintf(out + (used < capacity ? used : capacity), used < capacity ? capacity - used : 0, __VA_ARGS__);
#define LAYOUT_STRUCT(type) ADD(#type " %zu\n", sizeof(type))
#define LAYOUT_FIELD(type, field) ADD("  " #field " %zu %zu\n", offsetof(type, field), sizeof(((type*)0)->field))
#define LAYOUT_CONSTANT(name) ADD(#name " %lld\n", (long long)(name))

/* Returns the length of the text, which was cut when it is capacity or more. */
int abi_layout_in_c(char* out, size_t capacity) {
  size_t used = 0;
#include "abi_layout.inc"
  return (int)used;
}
