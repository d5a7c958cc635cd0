/* lists.h - a recorded program as lists on the device, cut so that nothing runs for long.
 *
 * A launch whose estimate is too long for one dispatch becomes several, each a range of its workgroups along one axis:
 * every workgroup computes what it always does, so no bit changes, whatever the operator.  Dispatches are gathered in
 * lists, lists in submissions (exec.c); a list may end inside a node, since a node's launches run in any order. */
#ifndef VKA_RENDER_LISTS_H
#define VKA_RENDER_LISTS_H

#include "gpu/gpu.h"
#include "graph/plan.h"

/* How long things may take, in seconds, and by how much estimates are mistrusted until they are measured. */
struct vka_limits {
    double dispatch, list, submission;
    double caution;
    bool measured; /* cut anew by measured times */
};
/* On a GPU what a desktop bears; on a software device only how late a cancel may be noticed. */
struct vka_limits vka_limits_for(const vka_gpu_info *info);

struct vka_device_list {
    vka_list *list;
    uint32_t of;           /* the program's list that it is (a part of) */
    uint32_t first, count; /* its dispatches, in vka_lists.steps */
    bool once;
    bool ran;        /* `seconds` is measured */
    double estimate; /* by the program's rates */
    double longest;  /* of its longest dispatch, likewise */
    double seconds;  /* of the last run, or a cautious estimate */
};

/* A plan's blocks of the device, and of the host, where streamed weights and parked tensors wait. */
struct vka_list_blocks {
    vka_block *const *arena, *const *weights, *const *host;
};

struct vka_lists {
    vka_gpu *gpu;
    struct vka_list_blocks blocks;
    const struct vka_program *program;
    struct vka_limits limits;
    struct vka_device_list *items;
    uint32_t count;
    size_t capacity;
    uint32_t *steps; /* per dispatch: the program's step */
    uint32_t dispatches;
    size_t step_capacity;
    double *scale; /* per list of the program: how many times its estimate it takes */
    bool *awaited; /* likewise: a list of the other queue waits for it */
    uint64_t *tickets; /* likewise: in the present run, the submission with the end of it; 0: not submitted */
};

/* Records `program`, which must live as long, as must the blocks.  `lists` is zeroed or ended. */
vka_status vka_lists_begin(struct vka_lists *lists, vka_gpu *gpu, const struct vka_program *program,
                           const struct vka_list_blocks *blocks, const struct vka_limits *limits, vka_error *err);
/* Takes in the times of a run that is over (`first`: with what runs once).  Where they ask for other cuts (after the
 * first runs, and later where a dispatch took longer than it may) the lists are recorded anew. */
vka_status vka_lists_measure(struct vka_lists *lists, bool first, uint64_t runs, vka_error *err);
void vka_lists_end(struct vka_lists *lists);

/* Into how many pieces along each axis a launch of these workgroups is cut that takes `seconds`; returns how many in all.
 * Kernels number workgroups along x and z as one (shaders/lib/launch.glsl): x is whole where z is more than 1. */
uint32_t vka_cut_pieces(const struct vka_limits *limits, const uint32_t groups[3], double seconds, uint32_t pieces[3]);
/* Piece k of them: workgroups `base` .. base + count - 1.  Along an axis sizes differ by at most 1. */
void vka_cut_piece(const uint32_t groups[3], const uint32_t pieces[3], uint32_t k, uint32_t base[3], uint32_t count[3]);

#endif
