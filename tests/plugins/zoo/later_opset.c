#include "zoo.h"
ZOO_QUERY("zoo.later-opset", plugin->need_opset = 99)
