/* machine.h - what the machine has. */
#ifndef VKA_BASE_MACHINE_H
#define VKA_BASE_MACHINE_H

#include <stdint.h>

/* Bytes of physical memory; 0 when the system does not say. */
uint64_t vka_machine_memory(void);
/* Processors that this process may use; at least 1. */
uint32_t vka_machine_cores(void);

#endif
