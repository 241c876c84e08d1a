#include "zoo.h"
ZOO_QUERY("zoo.bad-params", (zoo_params[0].default_int = 65, zoo_params[0].flags = 64))
