/* version.h - the number of the interface, and what each number brought.
 *
 * A change of what these headers offer is one line of the list, and the number of its last line is VKA_API_VERSION: a program
 * asks with the preprocessor what it is built against, with vka_api_version() what it runs with.  Numbers only grow; what
 * was there stays, with the meaning that it had, for as long as the library's SONAME is the same (SOVERSION in
 * cmake/interface.cmake).  New members of structs go behind the others, and mean what was before where they are zero.
 * vkanim_lab.h promises nothing and is not counted.
 *
 *   1  contexts, jobs and their options; render, resume, jobs, plan, devices, models, inspect, convert; this number
 *   2  previews of a render and their encoder; options of serve, and which options name files; models by name;
 *      infotext by itself and A1111's names for options; jobs forgotten
 *
 * With number 2 there are 27 functions. */
#ifndef VKANIM_VERSION_H
#define VKANIM_VERSION_H

#define VKA_API_VERSION 2

#endif
