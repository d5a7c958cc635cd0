/* thread.c - see thread.h. */
#define _POSIX_C_SOURCE 200809L
#include "base/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct vka_thread {
    pthread_t id;
    void (*work)(void *);
    void *arg;
};

static void *run(void *p)
{
    struct vka_thread *t = p;
    t->work(t->arg);
    return NULL;
}

vka_thread *vka_thread_start(void (*work)(void *arg), void *arg)
{
    struct vka_thread *t = malloc(sizeof *t);
    if (!t)
        return NULL;
    *t = (struct vka_thread){.work = work, .arg = arg};
    /* signals are the program's business: its own threads take them */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&t->id, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(t);
        return NULL;
    }
    return t;
}

void vka_thread_join(vka_thread **thread)
{
    if (!*thread)
        return;
    pthread_join((*thread)->id, NULL);
    free(*thread);
    *thread = NULL;
}
