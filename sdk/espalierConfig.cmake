# find_package(espalier CONFIG): espalier::plugin_abi (C11), espalier::plugin_sdk (C++20), espalier_add_plugin(name source…).
include(${CMAKE_CURRENT_LIST_DIR}/espalierTargets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/EspalierPlugin.cmake)
