#include "zoo.h"
ZOO_QUERY("zoo.component-size", zoo_components[0].struct_size = 8)
