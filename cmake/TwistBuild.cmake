# The two ways a library is made here, and the table generators.

set(TWIST_INCLUDE_DIRS
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/include>
  $<INSTALL_INTERFACE:include>)
set(TWIST_WARNINGS -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers)

if(TWIST_SANITIZE)
  add_compile_options(-fsanitize=address,undefined,fuzzer-no-link -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined,fuzzer-no-link)
endif()
add_link_options(-fuse-ld=lld)

# Headers of LLVM and MLIR, as system headers: their warnings are not ours.
add_library(twist_mlir_headers INTERFACE)
target_include_directories(twist_mlir_headers SYSTEM INTERFACE
  ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_compile_definitions(twist_mlir_headers INTERFACE ${LLVM_DEFINITIONS_LIST})
target_link_libraries(twist_mlir_headers INTERFACE MLIR LLVM)

# Every library that uses MLIR reuses one precompiled header.
# Written once: a newer file would rebuild the header and all that uses it.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pch.cpp CONTENT
  "// carries the precompiled header\n")
add_library(twist_pch OBJECT ${CMAKE_BINARY_DIR}/pch.cpp)
target_link_libraries(twist_pch PRIVATE twist_mlir_headers)
target_compile_options(twist_pch PRIVATE -fno-exceptions ${TWIST_WARNINGS})
target_precompile_headers(twist_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)

# twist_tablegen(FILE.td DIR ARGS... OUTPUT) is spelled out by callers through
# these: each appends to TABLEGEN_OUTPUT, twist_tablegen_target closes the list.
macro(twist_tablegen_target name)
  add_public_tablegen_target(${name})
  set_property(GLOBAL APPEND PROPERTY TWIST_TABLEGEN_TARGETS ${name})
endmacro()

# twist_add_library(NAME SOURCES... [LINK libs...] [EXCEPTIONS])
function(twist_add_library name)
  cmake_parse_arguments(ARG "EXCEPTIONS" "" "LINK" ${ARGN})
  add_library(${name} ${ARG_UNPARSED_ARGUMENTS})
  twist_configure_target(${name} ${ARG_EXCEPTIONS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  set_property(GLOBAL APPEND PROPERTY TWIST_LIBRARIES ${name})
endfunction()

# twist_add_executable(NAME SOURCES... [LINK libs...])
function(twist_add_executable name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  # -fPIC in place of -fPIE: the precompiled header is made for one of them.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  twist_configure_target(${name} FALSE)
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()

function(twist_configure_target name exceptions)
  target_include_directories(${name} PUBLIC ${TWIST_INCLUDE_DIRS})
  target_link_libraries(${name} PUBLIC twist_mlir_headers)
  target_compile_options(${name} PRIVATE ${TWIST_WARNINGS})
  if(exceptions)
    target_compile_options(${name} PRIVATE -fexceptions -frtti)
  else()
    target_compile_options(${name} PRIVATE -fno-exceptions)
    target_precompile_headers(${name} REUSE_FROM twist_pch)
  endif()
  get_property(generated GLOBAL PROPERTY TWIST_TABLEGEN_TARGETS)
  if(generated)
    add_dependencies(${name} ${generated})
  endif()
endfunction()
