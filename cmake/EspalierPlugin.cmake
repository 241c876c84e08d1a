# espalier_add_plugin(name source… [LINK target…]): one plugin, NAME.esp.so. Exactly one exported symbol (version script), nothing
# undefined, every symbol bound at load. In espalier's own build and, installed, in anyone's.

set(ESPALIER_PLUGIN_MAP ${CMAKE_CURRENT_LIST_DIR}/plugin.map CACHE INTERNAL "what a plugin exports")

function(espalier_add_plugin name)
  cmake_parse_arguments(PLUGIN "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} MODULE ${PLUGIN_SOURCES} ${PLUGIN_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE espalier::plugin_sdk ${PLUGIN_LINK})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  target_link_options(${name} PRIVATE -Wl,--version-script=${ESPALIER_PLUGIN_MAP} -Wl,-z,now)
  if(NOT ESPALIER_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".esp.so" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON LINK_DEPENDS ${ESPALIER_PLUGIN_MAP})
endfunction()
