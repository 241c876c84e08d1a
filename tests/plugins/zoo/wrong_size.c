#include "zoo.h"
ZOO_QUERY("zoo.wrong-size", plugin->struct_size -= 8)
