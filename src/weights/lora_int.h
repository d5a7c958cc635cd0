/* lora_int.h - what the files of lora*.c share.  Internal to them. */
#ifndef VKA_WEIGHTS_LORA_INT_H
#define VKA_WEIGHTS_LORA_INT_H

#include "base/mem.h"
#include "weights/lora.h"
#include "weights/names.h"

#include <jansson.h>

/* What a tensor is to its module. */
enum vka_lora_role {
    VKA_LORA_DOWN,
    VKA_LORA_UP,
    VKA_LORA_MID,
    VKA_LORA_UP_BIAS,
    VKA_LORA_ALPHA,
    VKA_LORA_DORA,      /* magnitudes by output row or input channel, as their shape says */
    VKA_LORA_MAGNITUDE, /* PEFT's: by output row */
    VKA_LORA_W1A,       /* of LoHa and LoKr */
    VKA_LORA_W1B,
    VKA_LORA_W2A,
    VKA_LORA_W2B,
    VKA_LORA_W1,
    VKA_LORA_W2,
    VKA_LORA_T1,
    VKA_LORA_T2,
    VKA_LORA_A1, /* GLoRA */
    VKA_LORA_A2,
    VKA_LORA_B1,
    VKA_LORA_B2,
    VKA_LORA_BM,
    VKA_LORA_DIFF, /* of the weight: full, or a norm's */
    VKA_LORA_DIFF_B,
    VKA_LORA_FACTOR, /* IA3 */
    VKA_LORA_ON_INPUT,
    VKA_LORA_HADA, /* marks, no tensors: which family the W and T are of, and whether DIFF is a norm's */
    VKA_LORA_KRON,
    VKA_LORA_NORM,
    VKA_LORA_ROLES
};

/* Where a name points to, as far as it says. */
enum vka_lora_side { VKA_LORA_ANY, VKA_LORA_UNET, VKA_LORA_TEXT, VKA_LORA_OTHER };

struct vka_lora_key {
    enum vka_lora_side side;
    enum vka_lora_role role, mark;  /* mark: VKA_LORA_HADA, _KRON, _NORM, or VKA_LORA_ROLES */
    size_t length;                  /* bytes of the tensor's name that name the module */
    char module[VKA_NAME_CAP];      /* without prefixes, every '.' an underscore */
};
/* False when the name ends in no way that is known. */
bool vka_lora_parse(struct vka_lora_key *key, const char *name);

enum vka_lora_kind {
    VKA_LORA_KIND_LORA,
    VKA_LORA_KIND_LOHA,
    VKA_LORA_KIND_LOKR,
    VKA_LORA_KIND_GLORA,
    VKA_LORA_KIND_ADD, /* full, norm */
    VKA_LORA_KIND_IA3,
    VKA_LORA_KINDS
};

struct vka_lora_module {
    const char *name;  /* as in the file */
    const char *plain; /* vka_lora_key.module */
    enum vka_lora_side side;
    enum vka_lora_kind kind;
    bool norm; /* of VKA_LORA_KIND_ADD */
    const vka_weight *t[VKA_LORA_ROLES];
    uint64_t rank; /* 0: none */
    double scale, alpha;
    bool has_alpha;
    const vka_error *fault; /* what is wrong with it, told when it is wanted; NULL: nothing */
};

struct vka_lora {
    char *path;
    vka_safetensors own; /* when opened by path */
    const vka_safetensors *st;
    json_t *config; /* PEFT's, or NULL */
    struct vka_lora_module *modules;
    size_t count;
    vka_lora_info info;
    vka_arena arena;
};

/* What vka_weight.changes points to begins with: how its numbers are made. */
struct vka_lora_changes {
    void (*numbers)(const void *self, uint64_t first, uint64_t count, float *out);
};

/* The names of a table's layers in all their forms: sorted, `entry` layers of `w`. */
struct vka_lora_names {
    struct vka_lora_name {
        const char *name, *layer; /* underscored form; the table's name without ".weight" */
    } *items;
    size_t count, capacity;
    vka_arena arena;
};
enum vka_lora_table { VKA_LORA_OF_UNET, VKA_LORA_OF_MOTION, VKA_LORA_OF_TEXT, VKA_LORA_TABLES };
/* False when memory is short. */
bool vka_lora_names_build(struct vka_lora_names *n, const vka_weights *w, enum vka_lora_table which);
void vka_lora_names_free(struct vka_lora_names *n);
/* The layer that a module's underscored name means, or NULL. */
const char *vka_lora_names_find(const struct vka_lora_names *n, const char *module);

/* Whether a module's tensors fit a base tensor [rows, columns / taps, taps]; `bias`: its bias.  VKA_E_INPUT with a sentence. */
vka_status vka_lora_check(const vka_lora *l, const struct vka_lora_module *m, const vka_weight *base, vka_error *err);
/* Whether all of a module's numbers are numbers. */
bool vka_lora_is_finite(const struct vka_lora_module *m);
/* How many tensors a module has. */
size_t vka_lora_tensors(const struct vka_lora_module *m);

#endif
