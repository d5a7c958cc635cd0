/* park.c - which tensors wait in the host's memory between two uses that lie far apart.  See plan.h.
 *
 * A skip of the UNet is made on the way down, read at once, and read again on the way up: between those it takes bytes of the
 * device that nobody looks at.  A parked tensor leaves for the host behind the segment of the one use and returns before the
 * segment of the other, to the bytes where it lay, which are others' in between. */
#include "graph/plan_parts.h"

#include <stdlib.h>

enum {
    FAR_APART = 3,  /* segments from one use to the next */
    SMALL_SHARE = 64 /* what is smaller than this share of the largest is not worth the way */
};

/* Of a tensor: the segment of its latest use so far, and the longest way between two. */
struct gap {
    uint32_t latest, from, to;
    bool used;
};

static void use(struct gap *g, uint32_t segment)
{
    if (g->used && segment - g->latest > g->to - g->from) {
        g->from = g->latest;
        g->to = segment;
    }
    g->latest = segment;
    g->used = true;
}

static bool may_leave(const struct vka_planning *w, uint32_t t, const struct gap *gaps)
{
    const struct vka_plan *p = w->plan;
    const struct vka_tensor_info *info = &p->graph->tensors[t];
    return vka_is_planned(info) && info->domain == VKA_SAMPLE && gaps[t].to - gaps[t].from >= FAR_APART &&
           !p->segments[w->segment_of[info->producer]].once;
}

bool vka_park_tensors(struct vka_planning *w)
{
    struct vka_plan *p = w->plan;
    const struct vka_graph *g = p->graph;
    struct gap *gaps = vka_calloc(g->tensor_count, sizeof *gaps);
    uint64_t most = 0;
    uint32_t count = 0;
    if (!gaps)
        return false;
    for (uint32_t i = 0; i < g->node_count; i++) {
        for (uint32_t k = 0; k < g->nodes[i].inputs; k++)
            use(&gaps[g->nodes[i].in[k].id], w->segment_of[i]);
        for (uint32_t k = 0; k < g->nodes[i].outputs; k++)
            use(&gaps[g->nodes[i].out[k].id], w->segment_of[i]);
    }
    for (uint32_t t = 1; t < g->tensor_count; t++)
        if (may_leave(w, t, gaps)) {
            uint64_t bytes = vka_pass_bytes(p, &g->tensors[t]);
            most = bytes > most ? bytes : most;
            count++;
        }
    p->parkings = vka_calloc((size_t)count + 1, sizeof *p->parkings);
    uint64_t *blocks = realloc(p->host_blocks, ((size_t)p->host_block_count + count + 1) * sizeof *blocks);
    p->host_blocks = blocks ? blocks : p->host_blocks;
    for (uint32_t t = 1; p->parkings && blocks && t < g->tensor_count; t++) {
        uint64_t bytes = may_leave(w, t, gaps) ? vka_pass_bytes(p, &g->tensors[t]) : 0;
        if (bytes == 0 || bytes < most / SMALL_SHARE)
            continue;
        p->parkings[p->parking_count++] = (struct vka_parking){.tensor = t,
                                                               .host_block = p->host_block_count,
                                                               .leaves = p->segments[gaps[t].from].end - 1,
                                                               .returns = p->segments[gaps[t].to].first};
        blocks[p->host_block_count++] = bytes;
        p->host_bytes += bytes;
        p->parked_bytes += 2 * vka_tensor_bytes(&g->tensors[t]);
    }
    free(gaps);
    return p->parkings && blocks;
}
