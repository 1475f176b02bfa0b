# cmake --install: tools, libraries, headers with their tables, and what
# find_package(Twist) reads.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(twist_libraries GLOBAL PROPERTY TWIST_LIBRARIES)
list(FILTER twist_libraries EXCLUDE REGEX "^TwistFuzz")
set(twist_tools twist twist-opt twist-translate twist-lsp-server)
# Tools find shared libraries beside them; libraries find each other.
set_target_properties(${twist_tools} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib;${LLVM_LIBRARY_DIR}")
foreach(library ${twist_libraries} TwistRuntime)
  set_target_properties(${library} PROPERTIES INSTALL_RPATH "$ORIGIN;${LLVM_LIBRARY_DIR}")
endforeach()

# All libraries go to lib/, where `twist compile --emit exe` looks for its own.
install(TARGETS ${twist_tools} RUNTIME DESTINATION bin)
install(TARGETS ${twist_libraries} TwistRuntime TwistRuntimeObjects TwistRuntimeStatic
  twist_mlir_headers twist_onnx_library
  EXPORT TwistTargets LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
install(FILES ${TWIST_DEPS}/onnx/lib/libonnx.a ${TWIST_DEPS}/onnx/lib/libonnx_proto.a
  DESTINATION lib/twist)

# Sources of tables too: other projects' dialects may build on these.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/twist DESTINATION include
  FILES_MATCHING PATTERN "*.h" PATTERN "*.td")
install(DIRECTORY ${CMAKE_BINARY_DIR}/include/twist DESTINATION include
  FILES_MATCHING PATTERN "*.inc" PATTERN "CMakeFiles" EXCLUDE)

# Proofs of models without a lowering run in it.
configure_file(python/twist_tools/run_onnx.py ${CMAKE_BINARY_DIR}/share/twist/run_onnx.py COPYONLY)
install(FILES python/twist_tools/run_onnx.py DESTINATION share/twist)

set(twist_package lib/cmake/twist)
install(EXPORT TwistTargets NAMESPACE Twist:: DESTINATION ${twist_package})
configure_package_config_file(cmake/TwistConfig.cmake.in
  ${CMAKE_BINARY_DIR}/TwistConfig.cmake INSTALL_DESTINATION ${twist_package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/TwistConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/TwistConfig.cmake
  ${CMAKE_BINARY_DIR}/TwistConfigVersion.cmake DESTINATION ${twist_package})
