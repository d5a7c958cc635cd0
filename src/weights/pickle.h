/* pickle.h - reads a pickle as data: a symbolic machine that knows the opcodes of torch.save and runs nothing.
 *
 * A global is a node with a name and a call is a node with its arguments; nobody looks the name up and nobody calls.  So a
 * pickle cannot do anything here but cost time and memory, and those are bounded: VKA_PICKLE_MAX_... below.  The memo holds
 * numbers of nodes, not copies, so sharing costs nothing however it is nested; nothing recurses.  Names that only attacks
 * use (os.system, eval and their kin) are refused with a sentence, since whoever has such a file should know; any other
 * name may stand in a file and means what its reader makes of it. */
#ifndef VKA_WEIGHTS_PICKLE_H
#define VKA_WEIGHTS_PICKLE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VKA_PICKLE_MAX_BYTES (32u << 20) /* of the pickle, and so of all its strings */
#define VKA_PICKLE_MAX_STEPS 10000000u
#define VKA_PICKLE_MAX_STACK 100000u
#define VKA_PICKLE_MAX_MEMO  1000000u
#define VKA_PICKLE_MAX_NODES 1048576u
#define VKA_PICKLE_MAX_CELLS 2097152u

enum vka_pickle_kind {
    VKA_PICKLE_NONE,
    VKA_PICKLE_BOOL,   /* integer is 0 or 1 */
    VKA_PICKLE_INT,    /* integer */
    VKA_PICKLE_LONG,   /* an integer of more than 64 bits, without a value */
    VKA_PICKLE_REAL,   /* real */
    VKA_PICKLE_TEXT,   /* text, `first` bytes of it; UTF-8 is not checked */
    VKA_PICKLE_BYTES,  /* the same */
    VKA_PICKLE_TUPLE,  /* cells */
    VKA_PICKLE_LIST,   /* cells */
    VKA_PICKLE_SET,    /* cells */
    VKA_PICKLE_DICT,   /* cells: key, value, key, value ... */
    VKA_PICKLE_GLOBAL, /* pair.a is the module's text, pair.b the name's */
    VKA_PICKLE_CALL,   /* pair.a(*pair.b), then cells that were added; `state` as set by BUILD */
    VKA_PICKLE_OUTSIDE /* what pair.a stands for outside of the pickle: a storage */
};

typedef struct vka_pickle_node {
    uint8_t kind;
    uint32_t first, last; /* cells, 0: none; of texts the length */
    uint32_t state;       /* a node, 0: none */
    union {
        int64_t integer;
        double real;
        const char *text; /* in the pickle's bytes */
        struct {
            uint32_t a, b;
        } pair;
    } value;
} vka_pickle_node;

typedef struct vka_pickle_cell {
    uint32_t node, next; /* next 0: the last */
} vka_pickle_cell;

typedef struct vka_pickle {
    vka_pickle_node *nodes; /* node 0 is None */
    size_t count, capacity;
    vka_pickle_cell *cells; /* cell 0 is not used */
    size_t cell_count, cell_capacity;
    uint32_t root;
} vka_pickle;

/* `data` stays alive as long as the pickle; `path` is used in messages.  VKA_E_INPUT when it is damaged, goes over a limit,
 * uses an opcode that torch.save does not, or names a function that runs programs. */
vka_status vka_pickle_read(vka_pickle *p, const void *data, size_t size, const char *path, vka_error *err);
void vka_pickle_free(vka_pickle *p); /* a zeroed one is fine */

static inline const vka_pickle_node *vka_pickle_at(const vka_pickle *p, uint32_t node)
{
    return &p->nodes[node];
}
/* Whether a node is exactly this text. */
bool vka_pickle_is_text(const vka_pickle *p, uint32_t node, const char *text);
/* Whether it is this global; `name` "module.name". */
bool vka_pickle_is_global(const vka_pickle *p, uint32_t node, const char *name);
/* Whether it is a call of that global. */
bool vka_pickle_is_call(const vka_pickle *p, uint32_t node, const char *name);
/* "module.name" of a global (or of what a call calls), cut to `cap`, anything that is not ASCII as '?'. */
void vka_pickle_name(const vka_pickle *p, uint32_t node, char *out, size_t cap);
/* Takes the cells of a tuple of at least `least` into out[cap]; the number there are (up to cap), or -1. */
int vka_pickle_tuple(const vka_pickle *p, uint32_t node, int least, uint32_t *out, int cap);

#endif
