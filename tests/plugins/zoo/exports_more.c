/* Exports what is nobody's business. */
#include "zoo.h"
ESP_EXPORT int zoo_helper(int x) { return x + 1; }
ZOO_QUERY("zoo.exports-more", (void)0)
