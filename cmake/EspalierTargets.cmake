# Targets are rooms: espalier_room(ir SOURCES … LINK …) makes the static library `espalier_ir`.
# Plugins are one shared library each: espalier_own_plugin(name SOURCES … [LINK …]).

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(ESPALIER_PLUGIN_DIR ${CMAKE_BINARY_DIR}/plugins)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# PIE, RELRO, stack protection and FORTIFY are on in every build that a user gets (notes: reliability G15).
add_library(espalier_flags INTERFACE)
target_compile_options(espalier_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers -fstack-protector-strong)
# GCC 12 at -O3 reports overlapping copies inside std::string's own operator+ (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(espalier_flags INTERFACE -Wno-restrict)
endif()
target_link_options(espalier_flags INTERFACE -Wl,-z,relro,-z,now)
if(ESPALIER_SANITIZE)
  # GCC 12 sees uninitialised reads in std::function once the sanitizers have instrumented it (GCC bug 105562).
  target_compile_options(espalier_flags INTERFACE -fsanitize=${ESPALIER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(espalier_flags INTERFACE -fsanitize=${ESPALIER_SANITIZE})
endif()

function(espalier_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINK;PRIVATE" ${ARGN})
  add_library(espalier_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(espalier_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/espalier/engine>)
  target_link_libraries(espalier_${name} PUBLIC ${ROOM_LINK} PRIVATE espalier_flags ${ROOM_PRIVATE})
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE room_folder)
  if(room_folder MATCHES "^(core|plugins)")  # what espalier::core is made of
    install(TARGETS espalier_${name} EXPORT espalierCoreTargets ARCHIVE DESTINATION lib/espalier COMPONENT core)
  endif()
endfunction()

include(${CMAKE_CURRENT_LIST_DIR}/EspalierPlugin.cmake)

# A plugin of this tree: with our flags, where the build tree's program looks, and installed beside it.
function(espalier_own_plugin name)
  espalier_add_plugin(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE espalier_flags)
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${ESPALIER_PLUGIN_DIR})
  if(ESPALIER_PLUGIN_DIR STREQUAL "${CMAKE_BINARY_DIR}/plugins")
    install(TARGETS ${name} LIBRARY DESTINATION lib/espalier/plugins)
  endif()
endfunction()
