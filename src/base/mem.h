/* mem.h - checked sizes, growable arrays, a bump arena. */
#ifndef VKA_BASE_MEM_H
#define VKA_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Checked arithmetic: false, with *out untouched, when the result does not fit. */
bool vka_mul_u64(uint64_t a, uint64_t b, uint64_t *out);
bool vka_add_u64(uint64_t a, uint64_t b, uint64_t *out);

static inline uint64_t vka_round_up(uint64_t v, uint64_t to) { return (v + to - 1) / to * to; }
static inline uint32_t vka_div_up(uint32_t a, uint32_t b) { return a / b + (a % b != 0); }
static inline uint32_t vka_min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t vka_max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* calloc with a checked product; NULL when it overflows or memory is short. */
void *vka_calloc(size_t count, size_t size);
/* Room for `want` elements in a growable array: returns the (moved) array and updates *capacity, or
 * NULL with the old array untouched and still owned by the caller. */
void *vka_grow(void *array, size_t *capacity, size_t want, size_t element);
char *vka_strdup(const char *s);
/* printf into fresh memory (free() it); NULL when memory is short. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
char *vka_asprintf(const char *fmt, ...);

/* Bump arena: allocations live until the arena goes.  Zeroed memory, 16-byte aligned. */
typedef struct vka_arena {
    struct vka_arena_block *head;
    bool failed; /* an allocation failed; every later one returns NULL too */
} vka_arena;
void *vka_arena_alloc(vka_arena *a, size_t bytes);
char *vka_arena_strdup(vka_arena *a, const char *s);
void vka_arena_free(vka_arena *a);

#endif
