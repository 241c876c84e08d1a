#include "zoo.h"
ZOO_QUERY("zoo.bad-kind", zoo_components[0].kind = zoo_text("prune"))
