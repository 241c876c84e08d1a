#include "zoo.h"
ZOO_QUERY("zoo.lacks-next", (zoo_vtable.next = 0, zoo_vtable.destroy = 0))
