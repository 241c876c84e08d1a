/* Dies while it is loaded, before anyone has asked it anything. */
#include <stdlib.h>

#include "zoo.h"
__attribute__((constructor)) static void begin(void) { abort(); }
ZOO_QUERY("zoo.aborts-in-constructor", (void)0)
