/* A good pruner beside a component of a kind that this host does not know, whose vtable means nothing to it. */
#include "zoo.h"
ZOO_QUERY("zoo.unknown-kind",
          (zoo_components[1] = zoo_components[0], zoo_components[1].id = zoo_text("zoo.unknown-kind.teleport"),
           zoo_components[1].kind = zoo_text("esp.teleport/3"), zoo_components[1].vtable = 0, plugin->component_count = 2))
