/* thread.h - a worker that computes something beside the caller. */
#ifndef VKA_BASE_THREAD_H
#define VKA_BASE_THREAD_H

#include <stdbool.h>

typedef struct vka_thread vka_thread;
/* Runs work(arg) in a thread of its own; NULL when there is none to be had. */
vka_thread *vka_thread_start(void (*work)(void *arg), void *arg);
/* Waits for its end and frees it; NULL inside is fine, and it is set to NULL. */
void vka_thread_join(vka_thread **thread);

#endif
