#include "zoo.h"
ZOO_QUERY("zoo.duplicate", (void)0)
