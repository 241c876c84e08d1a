#include "zoo.h"
ZOO_QUERY("zoo.null-vtable", zoo_components[0].vtable = 0)
