#include "zoo.h"
ZOO_QUERY("zoo.no-components", plugin->component_count = 0)
