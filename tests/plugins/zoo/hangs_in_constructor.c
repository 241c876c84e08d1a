/* Never comes back from being loaded. */
#include <unistd.h>

#include "zoo.h"
__attribute__((constructor)) static void begin(void) {
  for (;;) usleep(1000);
}
ZOO_QUERY("zoo.hangs-in-constructor", (void)0)
