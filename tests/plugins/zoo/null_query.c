#include "zoo.h"
ZOO_QUERY("zoo.null-query", return 0)
