/* Its manifest speaks of another plugin. */
#include "zoo.h"
ESP_MANIFEST("zoo.somebody-else", "1.0.0", "zoo", "MIT", ESP_MANIFEST_COMPONENT("esp.prune/1", "zoo.somebody-else"));
ZOO_QUERY("zoo.other-manifest", (void)0)
