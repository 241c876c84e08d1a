#include "zoo.h"
ZOO_QUERY("zoo.small-vtable", zoo_vtable.struct_size = 16)
