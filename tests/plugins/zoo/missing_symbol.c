/* A shared library that is no plugin. */
#include <espalier/plugin.h>
ESP_EXPORT int zoo_missing_symbol(void);
int zoo_missing_symbol(void) { return 1; }
