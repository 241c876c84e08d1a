#include "zoo.h"
ZOO_QUERY("zoo.tsan-flag", plugin->build_flags = ESP_BUILD_TSAN)
