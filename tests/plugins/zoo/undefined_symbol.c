#include "zoo.h"
int zoo_nobody_has_this(void);
ZOO_QUERY("zoo.undefined-symbol", plugin->reserved = (uint32_t)zoo_nobody_has_this())
