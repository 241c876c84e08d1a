#include "zoo.h"
ZOO_QUERY("zoo.null-components", plugin->components = 0)
