/* plan.h - where every byte of a run lies and in which pieces it runs, known before the first dispatch.
 *
 * A pass runs the whole graph for some branches (all together, or one at a time).  Inside a pass, a segment is
 * a run of nodes that share a cut axis; it runs part by part, all its nodes for one part before the next part.
 * Tensors that live only inside a segment have room for one part; those between segments are whole.  A picture alone (one sample
 * a pass, as the VAE's) is cut into bands of rows: one 3x3 convolution and what makes its input, which runs for a row more.
 * The cuts change no bit of any result: see DESIGN "Same bits". */
#ifndef VKA_GRAPH_PLAN_H
#define VKA_GRAPH_PLAN_H

#include "graph/graph.h"

enum { VKA_PLAN_ALIGN = 256 };
#define VKA_BLOCK_LIMIT                                                                                                \
    (((uint64_t)1 << 30) - ((uint64_t)1 << 20)) /* with its slack below the 1 GiB that some drivers end at;
                                                                      a block is larger only when one tensor is */

struct vka_segment {
    uint32_t first, end;  /* nodes */
    uint32_t axis;        /* VKA_AXIS_SAMPLE, VKA_AXIS_PIXEL, VKA_AXIS_ROW, or 0: whole */
    uint32_t extent;      /* samples of a pass, or pixels */
    uint32_t parts, step; /* parts of `step` samples or pixels, the last may be smaller */
    uint32_t quantum;     /* pixels: of which a step is a multiple */
    uint32_t wide_end;    /* rows: the node that reads more of its first input; the nodes before it run for as much more */
    uint32_t wider;       /* pixels above a part and below it, a multiple of a row */
    bool once;            /* runs once per prompt */
};

/* Whether parts are runs of pixels, whole rows or not. */
static inline bool vka_along_pixels(const struct vka_segment *s)
{
    return s->axis == VKA_AXIS_PIXEL || s->axis == VKA_AXIS_ROW;
}

enum vka_space { VKA_SPACE_NONE, VKA_SPACE_ARENA, VKA_SPACE_WEIGHT, VKA_SPACE_BOUND };

struct vka_place {
    enum vka_space space;
    uint32_t block;         /* arena or weight block */
    uint64_t offset, bytes; /* in the block */
    uint32_t sample_stride; /* elements */
    bool local;             /* holds one part of its segment only */
    bool streamed;          /* a weight in the ring: there while its unit runs */
    uint32_t host_block;    /* where a streamed weight comes from */
    uint64_t host_offset;
    uint32_t shares;        /* the tensor whose bytes it takes over in place; 0: none */
    int32_t born, dies;     /* first and last node index at which the bytes are taken */
    int32_t leaves, returns; /* parked: last and next node index of them around the time in host memory; else 0 */
};

/* A tensor that waits in host memory between two uses. */
struct vka_parking {
    uint32_t tensor;
    uint32_t host_block;      /* all of it */
    uint32_t leaves, returns; /* nodes: copied to the host behind the one, and back before the other */
};

/* A run of nodes whose streamed weights are in the ring together: they are copied there before the first of the nodes.  A
 * unit is a segment, or a node of one that can never be cut. */
struct vka_unit {
    uint32_t first, end;   /* nodes */
    uint32_t copy, copies; /* in vka_plan.copies */
    uint64_t bytes;        /* of the copies */
    bool once;
};

/* What a plan may take; a smaller budget means finer cuts, fewer branches at a time, or fewer weights and skips on the device. */
struct vka_knobs {
    uint32_t branches_per_pass; /* 0: all */
    uint64_t arena_limit;       /* bytes */
    uint64_t weight_limit;      /* bytes of resident weights and the ring */
    bool park;                  /* tensors whose uses lie far apart, as skips, wait in host memory */
    bool prefetch;              /* what is streamed comes while the unit before runs: a larger ring, and a second queue */
};

struct vka_plan {
    const struct vka_graph *graph;
    uint32_t branches_per_pass, passes, pass_samples;
    struct vka_segment *segments;
    uint32_t segment_count;
    struct vka_place *places;               /* per tensor */
    uint64_t *arena_blocks, *weight_blocks; /* sizes */
    uint32_t arena_block_count, weight_block_count;
    uint64_t arena_bytes, weight_bytes; /* sums of the blocks */
    struct vka_unit *units;             /* that have streamed weights, in order of their nodes */
    uint32_t *copies;                   /* weights, by id */
    struct vka_parking *parkings;       /* by tensor id */
    uint32_t parking_count;
    uint64_t *host_blocks;              /* sizes: where streamed weights and parked tensors wait */
    uint32_t unit_count, copy_count, host_block_count;
    uint32_t ring_block;   /* the weight block that is the ring, where units are */
    bool prefetch;         /* there are units, and no two that follow each other in an evaluation share bytes of the ring (what
                              runs once aside); copies are lists of the transfer queue */
    uint64_t host_bytes;   /* sum of the host blocks */
    uint64_t stream_bytes; /* of weights, copied per evaluation, without what runs once */
    uint64_t parked_bytes; /* copied per evaluation, to the host and back */
    uint32_t peak_node;                 /* the node at which the arena is fullest */
    double flop, bytes;                 /* of one run without the nodes that run once */
};

/* Plans `graph` within the knobs, cutting each segment into as few parts and streaming as few weights as the limits need.
 * Where a limit cannot be kept the plan is the smallest there is: compare arena_bytes and weight_bytes.  A smaller limit
 * never makes a larger arena.  NULL when memory is short, or a part of a tensor would have more than 2^31 - 1 elements however
 * it is cut (fewer branches at a time may help). */
struct vka_plan *vka_plan_make(const struct vka_graph *graph, const struct vka_knobs *knobs, vka_error *err);
/* Without limits: nothing cut, all weights resident. */
struct vka_knobs vka_knobs_free(void);
void vka_plan_destroy(struct vka_plan **plan);

/* ---- a plan as launches ---------------------------------------------------------------------------- */

/* What a step touches of a tensor: `runs` runs of `run` bytes, `stride` apart, from `begin` to `end`. */
struct vka_range {
    uint64_t begin, end; /* byte addresses */
    uint64_t run, stride;
    uint32_t runs;
    bool write;
    uint32_t tensor;
};

/* One node of one part: its launches run in any order; its ranges are what they touch. */
struct vka_step {
    const struct vka_node *node;
    uint32_t launch, launches;
    uint32_t range, ranges;
    bool barrier;   /* wait for what came before in the list */
    double seconds; /* estimate */
};

/* Which evaluation: the first of a prompt, or one that leaves out what runs once. */
enum vka_turn { VKA_TURN_FIRST, VKA_TURN_NEXT, VKA_TURNS };

/* A list holds steps, the copies of a unit, or a parked tensor's way to the host or back.  The lists of a queue run in order.
 * Between the two queues there is no order but this: a list begins when the list of the other queue that it names, and so all
 * before it there, is done.  It names one that comes earlier in the program, so that submitting in the program's order can
 * never wait for what is not submitted.  Evaluations follow each other with everything done. */
struct vka_program_list {
    uint32_t step, steps;
    uint32_t copy, copies; /* in vka_plan.copies */
    uint32_t parking;      /* 1 + index in vka_plan.parkings; 0: none */
    bool leaving;          /* to the host */
    uint64_t parked, parked_bytes; /* device address, and bytes of the pass */
    bool once;
    bool transfer;             /* of the transfer queue; such a list has copies only */
    uint32_t after[VKA_TURNS]; /* 1 + the list of the other queue to wait for; 0: none, or what it waited for before does */
    double seconds; /* estimate */
    char label[96];
};

struct vka_program {
    const struct vka_plan *plan;
    struct vka_dispatch *launches;
    struct vka_step *steps;
    struct vka_range *ranges;
    struct vka_program_list *lists;
    uint32_t launch_count, step_count, range_count, list_count;
    size_t launch_capacity, step_capacity, range_capacity, list_capacity;
    uint64_t ring; /* address of the ring */
    uint8_t *args; /* argument bytes, to lie at args_address */
    size_t args_bytes, args_capacity;
};

struct vka_addresses {
    const uint64_t *arena, *weights; /* of the plan's blocks */
    const uint64_t *bound;           /* per tensor id: inputs and outputs */
    uint64_t args;                   /* of the argument bytes */
};

/* Rates for the estimates that bound a list's time. */
struct vka_rates {
    double flop_per_second, bytes_per_second;
    double list_seconds; /* a list is closed when its estimate passes this */
    double copy_bytes_per_second; /* from the host's memory to the device's */
};

/* Estimated seconds of one evaluation, without what runs once per prompt.  Where lists are on two queues each runs as early as
 * what it waits for lets it. */
double vka_program_seconds(const struct vka_program *program);

/* Records every part of the plan.  Barriers are put where a step touches bytes that an earlier step of the list,
 * since the last barrier, wrote, or writes bytes it read; what lies between a range's runs counts as touched.  A
 * list ends where its estimate passes rates->list_seconds. */
struct vka_program *vka_program_record(const struct vka_plan *plan, const struct vka_kernel_table *table,
                                       const struct vka_addresses *at, const struct vka_rates *rates, vka_error *err);
void vka_program_destroy(struct vka_program **program);

/* What one evaluation takes, without what runs once per prompt: launches, bytes read and written, every operand of a
 * launch counted once, weights again for every part. */
enum { VKA_TRAFFIC_LINES = 24 };
struct vka_traffic {
    const char *op;
    uint32_t dispatches;
    double flop, bytes;
};
/* lines[0] is the sum, the others are one operator each, in order of first use.  Adds to the `count` lines that are there
 * already (0: begins) and returns how many there are now. */
uint32_t vka_program_traffic(const struct vka_program *program, struct vka_traffic lines[VKA_TRAFFIC_LINES],
                             uint32_t count);

/* Addresses for a recording without a device: distinct ranges, as a device might give them.  free() `bound`. */
vka_status vka_addresses_fake(const struct vka_plan *plan, struct vka_addresses *at, uint64_t **store, vka_error *err);

/* ---- proof ----------------------------------------------------------------------------------------- */

/* Proves a program free of hazards: (1) of any two steps of a list that touch a common byte, one of them writing, a
 * barrier lies between; lists begin with a barrier; (2) no step writes bytes that it touches otherwise, but for an
 * output that takes an input's bytes in place; (3) every byte of a planned tensor that a step reads was last written
 * by the producer of that very tensor (of a streamed weight: its copy), in a first evaluation and in the next, which leaves out
 * what runs once; (4) where a copy on the transfer queue and a list of the other share bytes, one is done before the other
 * begins, in the program's order, by what they wait for and by nothing else.
 * VKA_E_INTERNAL names the steps at fault.  Shares no code with the recorder. */
vka_status vka_hazard_check(const struct vka_program *program, vka_error *err);

#endif
