# The interface of libvkanim as the linker sees it.
#
# SOVERSION names the library's binary interface and has nothing to do with the version of the project: it grows only when
# something that a program may use goes away or changes its meaning, and the version node of the symbols with it.  What is
# added in between is counted by the list in include/vkanim/version.h.
#
# The one list of exported functions is the public headers: what they declare with VKA_API goes into the version script, and
# nothing else leaves the library.  tests/house/symbols.sh holds the library against them.
set(VKANIM_SOVERSION 0)

file(GLOB public_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/vkanim/*.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${public_headers})
set(exported "")
foreach(header ${public_headers})
    file(READ ${header} text)
    string(REGEX MATCHALL "\nVKA_API [^;(]*[ *]vka_[a-z0-9_]+\\(" found "${text}")
    foreach(declaration ${found})
        string(REGEX REPLACE ".*[ *](vka_[a-z0-9_]+)\\($" "\\1" name "${declaration}")
        list(APPEND exported ${name})
    endforeach()
endforeach()
list(SORT exported)
if(NOT exported)
    message(FATAL_ERROR "include/vkanim declares nothing with VKA_API")
endif()
list(JOIN exported ";\n    " lines)
set(VKANIM_MAP ${CMAKE_BINARY_DIR}/libvkanim.map)
file(CONFIGURE OUTPUT ${VKANIM_MAP} CONTENT "VKANIM_${VKANIM_SOVERSION} {\nglobal:\n    ${lines};\nlocal:\n    *;\n};\n" @ONLY)

# The list of changes: numbers from 1 without a gap, the last of which is VKA_API_VERSION.
file(READ ${CMAKE_SOURCE_DIR}/include/vkanim/version.h text)
string(REGEX MATCHALL "\n \\*   [0-9]+  [^\n]" entries "${text}")
set(VKANIM_API_VERSION 0)
foreach(entry ${entries})
    string(REGEX REPLACE "^[^0-9]*([0-9]+).*" "\\1" number "${entry}")
    math(EXPR VKANIM_API_VERSION "${VKANIM_API_VERSION} + 1")
    if(NOT number EQUAL VKANIM_API_VERSION)
        message(FATAL_ERROR "include/vkanim/version.h: line ${VKANIM_API_VERSION} of the list has the number ${number}")
    endif()
endforeach()
if(NOT text MATCHES "\n#define VKA_API_VERSION ${VKANIM_API_VERSION}\n")
    message(FATAL_ERROR "include/vkanim/version.h: VKA_API_VERSION is not ${VKANIM_API_VERSION}, the last of the list")
endif()
