# page.cmake - include() it from the server's CMakeLists: sets VKA_PAGE_SOURCE to the generated C file.
set(VKA_PAGE_SOURCE ${CMAKE_BINARY_DIR}/generated/server/srv_page.c)
file(GLOB page_parts CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.js ${CMAKE_CURRENT_LIST_DIR}/*.css
    ${CMAKE_CURRENT_LIST_DIR}/page.html)
add_custom_command(OUTPUT ${VKA_PAGE_SOURCE}
    COMMAND ${CMAKE_COMMAND} -DPAGE=${CMAKE_CURRENT_LIST_DIR} -DOUT=${VKA_PAGE_SOURCE} -P ${CMAKE_CURRENT_LIST_DIR}/join.cmake
    DEPENDS ${page_parts} ${CMAKE_CURRENT_LIST_DIR}/join.cmake COMMENT "The server's page" VERBATIM)
