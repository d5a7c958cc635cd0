/* exec.h - a plan on a device: blocks, packed weights, recorded lists, runs.
 *
 * One executor holds one network: vka_exec_create takes the memory and packs the weights, vka_exec_record makes the
 * lists for the addresses bound, vka_exec_run submits them.  Everything is planned: an executor takes exactly
 * vka_exec_footprint bytes from the device. */
#ifndef VKA_RENDER_EXEC_H
#define VKA_RENDER_EXEC_H

#include "gpu/gpu.h"
#include "graph/plan.h"
#include "ops/table.h"
#include "render/lists.h"

/* Called between submissions and while packing; a nonzero answer stops the run with VKA_E_STOPPED. */
typedef struct vka_ticker {
    int (*tick)(void *user);
    void *user;
} vka_ticker;

struct vka_exec {
    vka_gpu *gpu;
    struct vka_plan *plan; /* owned */
    struct vka_kernel_table table;
    vka_block **arena, **weights, **host, *args; /* host: of streamed weights */
    uint64_t *addresses; /* arena blocks, weight blocks, then per tensor */
    struct vka_program *program;
    struct vka_limits limits; /* from the device; may be set before recording */
    struct vka_lists lists;
    uint64_t runs;
};

/* What estimates go by until a run is measured: `measured` FLOP/s of a matrix product (vka_kernel_table.flops), or 0 for a guess at
 * what a device of its kind reaches; info NULL: a GPU. */
struct vka_rates vka_exec_rates(const vka_gpu_info *info, double measured);

/* The memory that a plan may take. */
struct vka_room {
    uint64_t device; /* bytes, with what the caller takes of it besides */
    uint64_t host;   /* bytes for what waits there: streamed weights, parked tensors */
};

/* What is asked of a plan: the fastest that fits the room or, where `knobs` is set, the one that these make. */
struct vka_ask {
    struct vka_room room;
    const struct vka_knobs *knobs;
    bool any_state; /* with knobs: a clip's state goes where less of the device is needed; else it stays where it is */
};
/* The knobs of the smallest plan. */
struct vka_knobs vka_knobs_least(void);

/* The plan that is estimated to be fastest among those that fit the room together with `other` bytes of device memory that the
 * caller takes: branches together or one at a time, weights resident or streamed from the host's memory, ahead of the work
 * (table->transfer_queue) or between it, tensors whose uses lie far apart (skips) on the device or parked in the host's,
 * segments cut as far as needed; or the plan of ask->knobs.  *need is its footprint (without `other`).  When nothing fits, the
 * smallest plan is returned all the same: compare it and plan->host_bytes. */
vka_status vka_exec_plan(const struct vka_graph *graph, const struct vka_kernel_table *table, const struct vka_ask *ask,
                         uint64_t other, struct vka_plan **plan, uint64_t *need, vka_error *err);

/* Takes ownership of `plan` (also on failure). `table` is copied. */
vka_status vka_exec_create(struct vka_exec **out, vka_gpu *gpu, struct vka_plan *plan,
                           const struct vka_kernel_table *table, const vka_ticker *ticker, vka_error *err);
void vka_exec_destroy(struct vka_exec **exec);

/* Packs again the weights whose numbers have changes (vka_weight_data.changes), resident and streamed, where they are; no run is
 * under way.  The next run must be a first one: what is made once per prompt depends on weights. */
vka_status vka_exec_repack(struct vka_exec *exec, const vka_ticker *ticker, vka_error *err);

/* Where an input or output of the graph lies. */
void vka_exec_bind(struct vka_exec *exec, vka_tensor t, uint64_t address);
/* Records the lists for what is bound, and proves them free of hazards. */
vka_status vka_exec_record(struct vka_exec *exec, vka_error *err);
/* One evaluation of the network; waits for the end.  The nodes that run once per prompt run when `first`. */
vka_status vka_exec_run(struct vka_exec *exec, bool first, const vka_ticker *ticker, vka_error *err);
/* GPU seconds of each operator in the last run, summed by name; needs vka_gpu_params.timers. */
void vka_exec_times(struct vka_exec *exec, const vka_log *log);

/* Bytes of device memory of a plan with `args_bytes` of arguments. */
uint64_t vka_exec_footprint(const struct vka_plan *plan, uint64_t args_bytes);

#endif
