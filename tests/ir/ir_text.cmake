# One ctest entry per .eir file: `ctest -R ir/passes/cse`. Found when ctest runs, so that a new file needs no rebuild.
add_executable(ir_text_test ${CMAKE_CURRENT_LIST_DIR}/ir_text_test.cpp support/filecheck.cpp support/text_test.cpp)
target_link_libraries(ir_text_test PRIVATE espalier_autodiff espalier_passes espalier_flags GTest::gtest)
target_include_directories(ir_text_test PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_definitions(ir_text_test PRIVATE ESPALIER_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
gtest_discover_tests(ir_text_test DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "ir;passes" DISCOVERY_TIMEOUT 60)
