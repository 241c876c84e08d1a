/* Nothing is wrong with this one. */
#include "zoo.h"
ZOO_QUERY("zoo.good", (void)0)
