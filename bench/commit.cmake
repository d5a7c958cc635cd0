# Writes OUT, a header with COMMIT, or with the commit of SOURCE where that is empty ("unknown" where git or the repository is
# missing, so that a repository around unpacked sources is not taken for theirs); only where it changed.
set(commit "${COMMIT}")
if(NOT commit)
    get_filename_component(above ${SOURCE} DIRECTORY)
    execute_process(COMMAND ${CMAKE_COMMAND} -E env GIT_CEILING_DIRECTORIES=${above} git -C ${SOURCE} describe --always --dirty
        OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    if(failed OR NOT commit)
        set(commit unknown)
    endif()
endif()
set(text "#define BENCH_COMMIT \"${commit}\"\n")
set(old "")
if(EXISTS ${OUT})
    file(READ ${OUT} old)
endif()
if(NOT text STREQUAL old)
    file(WRITE ${OUT} "${text}")
endif()
