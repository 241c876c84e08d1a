/* Its manifest asks for an ABI that is still to come; its constructor must not run. */
#include <stdlib.h>

#include "zoo.h"
__attribute__((section(ESP_MANIFEST_SECTION), used)) static const char manifest[] =
    "espalier-plugin 1\nabi 7.0\nopset 1\nid zoo.later-manifest\nversion 1\nvendor zoo\nlicense MIT\n";
__attribute__((constructor)) static void begin(void) { abort(); }
ZOO_QUERY("zoo.later-manifest", (void)0)
