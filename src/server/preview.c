/* preview.c - a step's clip in small: copied on the worker's thread, encoded on the one that asks, once. */
#include "server/inside.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct srv_preview *srv_preview_copy(const vka_preview *from)
{
    size_t size = (size_t)from->frames * from->height * from->width * 3;
    struct srv_preview *p = size ? calloc(1, sizeof *p) : NULL;
    unsigned char *rgb = p ? malloc(size) : NULL;
    if (!rgb || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(rgb);
        free(p);
        return NULL;
    }
    memcpy(rgb, from->rgb, size);
    p->meta = *from;
    p->meta.rgb = rgb;
    atomic_init(&p->holders, 1);
    return p;
}

void srv_preview_drop(struct srv_preview *p)
{
    if (!p || atomic_fetch_sub(&p->holders, 1) != 1)
        return;
    pthread_mutex_destroy(&p->lock);
    free((void *)(uintptr_t)p->meta.rgb);
    vka_free(p->made[0]);
    vka_free(p->made[1]);
    free(p);
}

size_t srv_queue_preview(struct srv *s, const char *id, const char *type, char **data, unsigned *step)
{
    struct srv_preview *p = NULL;
    size_t size = 0;
    int form = strcmp(type, "png") == 0;
    *data = NULL;
    pthread_mutex_lock(&s->queue.lock);
    struct srv_job *j = srv_job_find(s, id);
    if (j && j->preview) {
        p = j->preview;
        atomic_fetch_add(&p->holders, 1);
    }
    pthread_mutex_unlock(&s->queue.lock);
    if (!p)
        return 0;
    pthread_mutex_lock(&p->lock);
    if (!p->made[form]) {
        vka_error err = {0};
        if (vka_preview_encode(&p->meta, type, &p->made[form], &p->size[form], &err) != VKA_OK)
            srv_log(s, VKA_LEVEL_WARN, "a preview could not be encoded: %s", err.what);
    }
    if (p->made[form] && (*data = malloc(p->size[form]))) {
        size = p->size[form];
        memcpy(*data, p->made[form], size);
    }
    if (step)
        *step = p->meta.step;
    pthread_mutex_unlock(&p->lock);
    srv_preview_drop(p);
    return size;
}
