/* machine.h - what the machine has. */
#ifndef VKA_BASE_MACHINE_H
#define VKA_BASE_MACHINE_H

#include <stdint.h>

/* Bytes of physical memory; 0 when the system does not say. */
uint64_t vka_machine_memory(void);
/* Bytes of it that programs could still take without pushing others out, as Linux estimates it (MemAvailable); all of it on
 * other systems; 0 when the system does not say. */
uint64_t vka_machine_available(void);
/* Processors that this process may use; at least 1. */
uint32_t vka_machine_cores(void);

#endif
