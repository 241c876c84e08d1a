#include "zoo.h"
ZOO_QUERY("zoo.bad-default", zoo_params[0].default_int = 65)
