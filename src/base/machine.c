/* machine.c - see machine.h.  _SC_PHYS_PAGES is not in POSIX, but Linux, the BSDs and macOS have it. */
#define _DEFAULT_SOURCE
#include "base/machine.h"

#include <stdio.h>
#include <unistd.h>

uint64_t vka_machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

uint64_t vka_machine_available(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    unsigned long long kib;
    uint64_t bytes = vka_machine_memory();
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
            bytes = (uint64_t)kib * 1024;
            break;
        }
    if (file)
        fclose(file);
    return bytes;
}

uint32_t vka_machine_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}
