/* Tensors, attributes and nodes as plain data. Everything here is borrowed for the call that carries it. */
#ifndef ESPALIER_GRAPH_H
#define ESPALIER_GRAPH_H

#include "espalier/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ESP_DTYPE_NONE = 0,
  ESP_F32 = 1,
  ESP_F16 = 2,
  ESP_BF16 = 3,
  ESP_F64 = 4,
  ESP_I32 = 5,
  ESP_I64 = 6,
  ESP_U8 = 7,
  ESP_BOOL = 8
};
enum { ESP_MAX_RANK = 8 };

/* A dense row-major tensor type; images are N,H,W,C, weights as the files have them. dtype NONE: absent operand. */
typedef struct esp_tensor_type {
  int32_t dtype;
  int32_t rank;
  int64_t dims[ESP_MAX_RANK];
} esp_tensor_type;

enum { ESP_ATTR_INT = 1, ESP_ATTR_FLOAT = 2, ESP_ATTR_BOOL = 3, ESP_ATTR_STRING = 4, ESP_ATTR_INTS = 5, ESP_ATTR_FLOATS = 6 };

/* One attribute. The member that `kind` names is set; lists have `count` elements. BOOL is in int_value. */
typedef struct esp_attr {
  esp_str name;
  int32_t kind;
  int32_t reserved;
  int64_t int_value;
  double float_value;
  esp_str string_value;
  const int64_t* ints;
  const double* floats;
  uint64_t count;
} esp_attr;

/* One node: op name, types, attributes with defaults filled in. input_is_param[i] is 1 where operand i is a parameter
 * of the model (packed once), 0 where it is computed. Optional operands that are left out have dtype NONE. */
typedef struct esp_node {
  uint32_t struct_size;
  uint32_t reserved;
  esp_str op;
  esp_str path;
  const esp_tensor_type* inputs;
  const uint8_t* input_is_param;
  uint64_t input_count;
  const esp_tensor_type* outputs;
  uint64_t output_count;
  const esp_attr* attrs;
  uint64_t attr_count;
} esp_node;

#ifdef __cplusplus
}
#endif
#endif
