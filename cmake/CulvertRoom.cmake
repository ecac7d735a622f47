# What every library and program of ours is built with.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(Boost 1.81 REQUIRED COMPONENTS json)

add_library(culvert_flags INTERFACE)
target_compile_options(culvert_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers
  # GCC 12 at -O3 sees std::optional and small_vector uninitialised where they are not.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_include_directories(culvert_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(culvert_flags INTERFACE BOOST_ALL_NO_LIB)

# culvert_room(NAME SOURCES ... LINK ...): one room of the house, a static library culvert_NAME.
function(culvert_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINK" ${ARGN})
  add_library(culvert_${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(culvert_${name} PUBLIC culvert_flags ${ROOM_LINK})
endfunction()

# culvert_program(NAME SOURCES ... LINK ...): an executable in bin/.
function(culvert_program name)
  cmake_parse_arguments(PROGRAM "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${PROGRAM_SOURCES})
  target_link_libraries(${name} PRIVATE culvert_flags ${PROGRAM_LINK})
endfunction()

# culvert_gtest(NAME SOURCES ... LINK ...): a GoogleTest program, one CTest entry for each TEST.
# LABELS sorts the run: quick (default), slow, root (needs namespaces).
function(culvert_gtest name)
  cmake_parse_arguments(T "" "" "SOURCES;LINK;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  if(NOT TARGET culvert_gtest_headers)
    # GoogleTest's headers are a third of what a test takes to compile: once for all tests.
    file(WRITE ${CMAKE_BINARY_DIR}/gtest_headers.cc "")
    add_library(culvert_gtest_headers STATIC ${CMAKE_BINARY_DIR}/gtest_headers.cc)
    target_link_libraries(culvert_gtest_headers PRIVATE culvert_flags GTest::gmock)
    target_precompile_headers(culvert_gtest_headers PRIVATE <gtest/gtest.h> <functional> <map>
      <memory> <optional> <string> <string_view> <unordered_map> <variant> <vector>)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE culvert_flags ${T_LINK} GTest::gmock GTest::gtest_main)
  target_precompile_headers(${name} REUSE_FROM culvert_gtest_headers)
  if(NOT T_LABELS)
    set(T_LABELS quick)
  endif()
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT 300)
endfunction()
