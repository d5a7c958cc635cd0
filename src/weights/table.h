/* table.h - tensors by name, and which of the names somebody asked for. */
#ifndef VKA_WEIGHTS_TABLE_H
#define VKA_WEIGHTS_TABLE_H

#include "base/error.h"
#include "base/mem.h"
#include "weights/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VKA_WEIGHT_MAX_RANK 8

typedef struct vka_weight {
    const char *name; /* in a model's table: diffusers' name within the part, e.g. "conv_in.weight" */
    enum vka_weight_dtype dtype;
    uint32_t rank;                      /* 0 is a scalar */
    uint64_t dims[VKA_WEIGHT_MAX_RANK]; /* row-major, slowest first; convolutions are [out, in, kh, kw] */
    const void *data;                   /* `bytes` bytes in the mapped file; not aligned */
    uint64_t bytes;
    const char *source; /* the name in the file, for messages; NULL when it is the same */
    const void *changes; /* what LoRAs do to it: read it through vka_lora_numbers (lora.h); NULL: nothing */
    const float *scales;  /* NULL, or factors of fp8 weights: element i times scales[i / scale_run] is the value */
    uint64_t scale_run;
} vka_weight;

/* Elements of a tensor: the product of its dims. */
uint64_t vka_weight_count(const vka_weight *w);
/* Elements [first, first + count) as binary32, scales applied. */
void vka_weight_to_f32(const vka_weight *w, uint64_t first, uint64_t count, float *out);
/* True when rank and dims are as listed; a negative dim in the list matches anything. */
bool vka_weight_shape_is(const vka_weight *w, uint32_t rank, const int64_t *dims);
/* "[320, 4, 3, 3]" into buf, cut at cap. */
void vka_weight_shape_text(const vka_weight *w, char *buf, size_t cap);

/* Names in sorted order, to find one by bisection: no crafted set of names makes it slow. */
typedef struct vka_name_entry {
    const char *name;
    uint32_t position; /* in the array of vka_weight */
} vka_name_entry;
typedef struct vka_name_index {
    vka_name_entry *entries;
    size_t count;
} vka_name_index;
#define VKA_NAME_NONE UINT32_MAX
/* Memory comes from the arena; the names are borrowed.  VKA_E_INPUT with *duplicate set when a name is there twice. */
vka_status vka_name_index_build(vka_name_index *ix, vka_arena *arena, const vka_weight *items, size_t count,
                                const char **duplicate);
/* The position, or VKA_NAME_NONE. */
uint32_t vka_name_index_find(const vka_name_index *ix, const char *name);

/* The tensors of one part of a model (or of a motion module). */
typedef struct vka_weights vka_weights;

/* NULL when there is no such tensor.  O(log n). */
const vka_weight *vka_weights_find(const vka_weights *w, const char *name);
/* The same with a name made by printf (at most 511 bytes). */
const vka_weight *vka_weights_findf(const vka_weights *w, const char *fmt, ...) VKA_PRINTF(2, 3);
/* Like vka_weights_find, and remembers that the name was asked for.  Not for two threads at once. */
const vka_weight *vka_weights_use(vka_weights *w, const char *name);
size_t vka_weights_count(const vka_weights *w);
const vka_weight *vka_weights_at(const vka_weights *w, size_t i);
bool vka_weights_is_used(const vka_weights *w, size_t i);
/* How many tensors nobody used; the first `cap` names go to names[] (which may be NULL when cap is 0). */
size_t vka_weights_unused(const vka_weights *w, const char **names, size_t cap);
void vka_weights_reset_used(vka_weights *w);
/* Sets `changes` of one of the table's tensors. */
void vka_weights_change(vka_weights *w, const vka_weight *item, const void *changes);
/* What the table belongs to, for messages: "the UNet of 'model.safetensors'". */
const char *vka_weights_title(const vka_weights *w);

/* Building a table: add, then finish.  Names and titles are copied; data is borrowed. */
vka_weights *vka_weights_new(const char *title);
bool vka_weights_add(vka_weights *w, const char *name, const vka_weight *source); /* false: memory */
vka_status vka_weights_finish(vka_weights *w, vka_error *err); /* VKA_E_INPUT: two tensors under one name */
void vka_weights_free(vka_weights *w);

/* Collects names that should be there and are not. */
typedef struct vka_missing {
    size_t count;
    char text[320]; /* the first few, separated by commas */
} vka_missing;
void vka_missing_add(vka_missing *m, const char *name);
/* VKA_OK when nothing is missing; else VKA_E_INPUT: "TITLE lacks 14 tensors: a, b, c, ...". */
vka_status vka_missing_check(const vka_missing *m, const char *title, vka_error *err);

#endif
