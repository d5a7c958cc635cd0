# What is installed, and what other projects find it by: pkg-config's vkanim, CMake's find_package(vkanim) -> vkanim::vkanim.
# Nothing in it names the folder that it was built in or installed to, so that an installed tree can be moved as a whole.
include(CMakePackageConfigHelpers)

install(TARGETS libvkanim EXPORT vkanim-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/vkanim DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(DIRECTORY models/miniature DESTINATION ${CMAKE_INSTALL_DATADIR}/vkanim/models
    PATTERN train EXCLUDE PATTERN samples EXCLUDE)

# A shared library needs nothing of its users and no static form is installed: neither Requires.private nor Libs.private.
file(RELATIVE_PATH from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH pc_lib ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH pc_include ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
file(CONFIGURE OUTPUT vkanim.pc @ONLY CONTENT [[
prefix=${pcfiledir}/@from_pc@
libdir=${prefix}/@pc_lib@
includedir=${prefix}/@pc_include@
api_version=@VKANIM_API_VERSION@

Name: vkanim
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Libs: -L${libdir} -lvkanim
Cflags: -I${includedir}
]])
install(FILES ${CMAKE_BINARY_DIR}/vkanim.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(config ${CMAKE_INSTALL_LIBDIR}/cmake/vkanim)
file(CONFIGURE OUTPUT vkanim-config.cmake @ONLY CONTENT [[
# find_package(vkanim) gives the target vkanim::vkanim and vkanim_API_VERSION, the VKA_API_VERSION of its headers.
set(vkanim_API_VERSION @VKANIM_API_VERSION@)
include("${CMAKE_CURRENT_LIST_DIR}/vkanim-targets.cmake")
]])
write_basic_package_version_file(${CMAKE_BINARY_DIR}/vkanim-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/vkanim-config.cmake ${CMAKE_BINARY_DIR}/vkanim-config-version.cmake DESTINATION ${config})
install(EXPORT vkanim-targets NAMESPACE vkanim:: DESTINATION ${config})

# The page of `vkanim serve` in the menu of a desktop: an entry, what software centres show of it, and an icon.
if(VKANIM_SERVER)
    set(id io.github.vkanim.vkanim)
    configure_file(packaging/desktop/${id}.desktop.in ${CMAKE_BINARY_DIR}/${id}.desktop @ONLY)
    install(PROGRAMS packaging/desktop/open-page DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/vkanim)
    install(FILES ${CMAKE_BINARY_DIR}/${id}.desktop DESTINATION ${CMAKE_INSTALL_DATADIR}/applications)
    install(FILES packaging/desktop/${id}.metainfo.xml DESTINATION ${CMAKE_INSTALL_DATADIR}/metainfo)
    install(FILES packaging/desktop/${id}.svg DESTINATION ${CMAKE_INSTALL_DATADIR}/icons/hicolor/scalable/apps)
endif()
