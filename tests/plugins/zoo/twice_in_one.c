#include "zoo.h"
ZOO_QUERY("zoo.twice", (zoo_components[1] = zoo_components[0], plugin->component_count = 2))
