/* netrun.h - one network of a job: its graph, the model's view of it, its plan, and where it runs.
 *
 * Life: vka_netrun_begin, network functions on run->build, vka_netrun_finish, vka_netrun_plan, vka_netrun_start, bind,
 * record, run, vka_netrun_end.  Everything up to the plan needs no device. */
#ifndef VKA_RENDER_NETRUN_H
#define VKA_RENDER_NETRUN_H

#include "render/exec.h"
#include "weights/weights.h"

/* Names to tensors for a network: a part's table, a motion module's table behind it, further files' under a prefix of their
 * own, and positional tables made from their formula where the file has none (Vaswani et al. 2017: sin and cos of
 * t / 10000^(2i/C)). */
enum { VKA_NAME_SOURCES = 16 };
struct vka_name_source {
    vka_weights *part, *motion;
    struct {
        char prefix[16]; /* "control0.": what begins so is in `table`, without it */
        vka_weights *table;
    } more[VKA_NAME_SOURCES];
    uint32_t more_count;
    uint32_t positions; /* rows of a made table */
    vka_arena arena;
};

struct vka_netrun {
    vka_build build;
    struct vka_graph *graph;
    struct vka_name_source names;
    struct vka_kernel_table table;
    struct vka_plan *plan; /* owned until the start, then the executor's */
    uint64_t need;         /* footprint of the plan */
    struct vka_exec *exec;
};

vka_status vka_netrun_begin(struct vka_netrun *run, const char *name, uint32_t branches, uint32_t frames,
                            vka_weights *part, vka_weights *motion, bool f16, const struct vka_kernel_table *table,
                            vka_error *err);
/* Between begin and the network functions: names "<prefix>..." ("control0.", with the dot) are tensors of `table`. */
vka_status vka_netrun_more(struct vka_netrun *run, const char *prefix, vka_weights *table, vka_error *err);
vka_status vka_netrun_finish(struct vka_netrun *run, const vka_tensor *changing, uint32_t count, vka_error *err);
/* Plans within `budget` bytes, `other` of which the caller needs itself; run->need tells what came out. */
vka_status vka_netrun_plan(struct vka_netrun *run, uint64_t budget, uint64_t other, vka_error *err);
/* The same for what `ask` says. */
vka_status vka_netrun_ask(struct vka_netrun *run, const struct vka_ask *ask, uint64_t other, vka_error *err);
/* Adds the estimated seconds of an evaluation as planned, without what runs once per prompt. */
vka_status vka_netrun_seconds(const struct vka_netrun *run, const struct vka_rates *rates, double *seconds, vka_error *err);
vka_status vka_netrun_start(struct vka_netrun *run, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err);
/* After LoRAs got other weights (vka_lora_mix_weigh): packs again what they change, and nothing else.  The next run must be a
 * first one.  Also before the start, when it does nothing. */
vka_status vka_netrun_repack(struct vka_netrun *run, const vka_ticker *ticker, vka_error *err);
void vka_netrun_end(struct vka_netrun *run); /* zeroed ones are fine */

/* Offsets in a block that holds the inputs and outputs of networks. */
struct vka_io {
    uint64_t bytes;
};
uint64_t vka_io_add(struct vka_io *io, uint64_t bytes);
/* vka_netrun_ask for a stage of one network that holds the block itself; *need: device memory of both. */
vka_status vka_netrun_ask_io(struct vka_netrun *run, const struct vka_io *io, const struct vka_ask *ask, uint64_t *need,
                             vka_error *err);

/* The ends of a network of one input and one output, in a block of their own. */
struct vka_ends {
    vka_tensor in, out;
    uint64_t in_at, out_at; /* in the block */
    vka_gpu *gpu;           /* set by the start */
    vka_block *block;
};
/* After vka_netrun_finish: places for both in `io`. */
void vka_ends_add(struct vka_ends *e, const struct vka_netrun *run, struct vka_io *io);
/* Makes the block, starts the network, binds both and records. */
vka_status vka_ends_start(struct vka_ends *e, struct vka_netrun *run, const struct vka_io *io, vka_gpu *gpu,
                          const vka_ticker *ticker, vka_error *err);
/* Writes the input's bytes, runs, reads `out_bytes` of the output; `in` and `out` may be the same memory. */
vka_status vka_ends_run(struct vka_ends *e, struct vka_netrun *run, const void *in, size_t in_bytes, void *out,
                        size_t out_bytes, const vka_ticker *ticker, vka_error *err);
/* Ends the network and gives the block back; zeroed ones are fine. */
void vka_ends_end(struct vka_ends *e, struct vka_netrun *run);

/* Clip tensors between files, [n, c, h, w], and the device, [n, h, w, pitch(c)] (pads zero). */
void vka_planes_to_pixels(float *dst, const float *src, uint32_t n, uint32_t c, uint32_t h, uint32_t w);
void vka_pixels_to_planes(float *dst, const float *src, uint32_t n, uint32_t c, uint32_t h, uint32_t w);

#endif
