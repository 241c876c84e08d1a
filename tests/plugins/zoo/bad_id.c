#include "zoo.h"
ZOO_QUERY("Zoo Bad Id", (void)0)
