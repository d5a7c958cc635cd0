/* mem.c - see mem.h. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool vka_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a && b > UINT64_MAX / a)
        return false;
    *out = a * b;
    return true;
}

bool vka_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b > UINT64_MAX - a)
        return false;
    *out = a + b;
    return true;
}

void *vka_calloc(size_t count, size_t size)
{
    return calloc(count ? count : 1, size ? size : 1); /* calloc checks the product itself */
}

void *vka_grow(void *array, size_t *capacity, size_t want, size_t element)
{
    if (array && want <= *capacity)
        return array;
    size_t cap = *capacity ? *capacity : 8;
    while (cap < want) {
        if (cap > SIZE_MAX / 2)
            return NULL;
        cap *= 2;
    }
    uint64_t bytes;
    if (!vka_mul_u64(cap, element, &bytes) || bytes > SIZE_MAX)
        return NULL;
    void *p = realloc(array, (size_t)bytes);
    if (p)
        *capacity = cap;
    return p;
}

char *vka_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = malloc(n);
    if (p)
        memcpy(p, s, n);
    return p;
}

char *vka_asprintf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : malloc((size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

struct vka_arena_block {
    struct vka_arena_block *next;
    size_t used, size;
};

enum { HEADER = (sizeof(struct vka_arena_block) + 15) / 16 * 16, BLOCK = 64 * 1024 };

void *vka_arena_alloc(vka_arena *a, size_t bytes)
{
    if (a->failed || bytes > SIZE_MAX / 2) {
        a->failed = true;
        return NULL;
    }
    bytes = (bytes + 15) / 16 * 16;
    struct vka_arena_block *b = a->head;
    if (!b || b->size - b->used < bytes) {
        size_t size = bytes > BLOCK ? bytes : BLOCK;
        b = calloc(1, HEADER + size);
        if (!b) {
            a->failed = true;
            return NULL;
        }
        b->size = size;
        b->next = a->head;
        a->head = b;
    }
    void *p = (char *)b + HEADER + b->used;
    b->used += bytes;
    return p;
}

char *vka_arena_strdup(vka_arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = vka_arena_alloc(a, n);
    if (p)
        memcpy(p, s, n);
    return p;
}

void vka_arena_free(vka_arena *a)
{
    while (a->head) {
        struct vka_arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->failed = false;
}
