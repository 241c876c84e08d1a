#include "zoo.h"
ZOO_QUERY("zoo.wrong-abi", (plugin->abi_major = 7, plugin->abi_minor = 3))
