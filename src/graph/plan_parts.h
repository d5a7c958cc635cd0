/* plan_parts.h - the steps of planning, see plan.c.  Internal to the graph room. */
#ifndef VKA_GRAPH_PLAN_PARTS_H
#define VKA_GRAPH_PLAN_PARTS_H

#include "graph/plan.h"

/* What planning knows of a graph beside the plan itself.  Arrays are per tensor or per node, as named. */
struct vka_planning {
    struct vka_plan *plan;
    int32_t *last;        /* tensor: the last node that reads it, -1 for none */
    uint32_t *segment_of; /* node */
    uint64_t *live;       /* node: bytes of the arena taken there */
    uint64_t *live_local; /* node: those of them that hold one part only */
};

/* Whether the planner gives the tensor a place in the arena. */
static inline bool vka_is_planned(const struct vka_tensor_info *t)
{
    return t->role == VKA_TEMP && t->producer >= 0;
}
/* Bytes of the whole tensor in one pass. */
uint64_t vka_pass_bytes(const struct vka_plan *p, const struct vka_tensor_info *t);

/* ---- segment.c ---- */

/* Makes the segments, each in one part, and fills segment_of.  False when memory is short. */
bool vka_make_segments(struct vka_planning *w);
/* The next finer cut; false at the finest. */
bool vka_cut_finer(struct vka_segment *s);
/* Cuts what kernels cannot count in 31 bits, and, where that helps, what is larger than a block.  VKA_E_MEMORY names a
 * tensor that is too large however it is cut.  Calls vka_set_places. */
vka_status vka_cut_too_large(struct vka_planning *w, vka_error *err);

/* ---- place.c ---- */

/* Bytes, strides, lifetimes and sharing of every tensor for the present cuts, then live and live_local. */
void vka_set_places(struct vka_planning *w);
/* Offsets and blocks of the arena for the present places.  False when memory is short. */
bool vka_place_arena(struct vka_plan *p);

/* ---- park.c ---- */

/* Lists what is parked and where that waits; after vka_place_weights.  False when memory is short. */
bool vka_park_tensors(struct vka_planning *w);

/* ---- stream.c ---- */

/* Which weights are resident and which are streamed, and where all lie; after vka_make_segments.  False when memory is short. */
bool vka_place_weights(struct vka_planning *w, const struct vka_knobs *knobs);

#endif
