#include "zoo.h"
ZOO_QUERY("zoo.wrong-magic", plugin->magic = 0x12345678)
