/* Ends the process of whoever loads it, with success. */
#include <stdlib.h>

#include "zoo.h"
__attribute__((constructor)) static void begin(void) { exit(0); }
ZOO_QUERY("zoo.exits-in-constructor", (void)0)
