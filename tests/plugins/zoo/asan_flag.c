#include "zoo.h"
ZOO_QUERY("zoo.asan-flag", plugin->build_flags = ESP_BUILD_ASAN)
