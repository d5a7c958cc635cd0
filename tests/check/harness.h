/* harness.h - one small graph of operators on the device, for checking operators against their C references.
 *
 * The harness takes the place of the planner: every tensor has a place of its own between guard bands, all memory that
 * nobody has filled is NaN, weights come from arrays in memory, and each node runs in the parts that the test names.
 *
 *     struct check *c = check_begin(gpu, VKA_F32, VKA_F32, branches, frames);
 *     vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, n, h, w, channels, values);
 *     check_weight(c, "at.weight", 2, (uint64_t[]){N, K}, weights);
 *     vka_tensor y = vka_linear(&c->build, x, &(struct vka_linear_args){.at = vka_scope_root("at")});
 *     check_run(c, NULL, 0);
 *     float *values = check_output(c, y);    (free it)
 *     check_end(&c);
 *
 * Failures are cmocka's: a guard band or an input that changed, pads that are not zero, messages of the validation
 * layers, errors of a build. */
#ifndef VKA_TESTS_HARNESS_H
#define VKA_TESTS_HARNESS_H

#include "gpu/gpu.h"
#include "graph/graph.h"
#include "ops/ops.h"
#include "ops/table.h"
#include "render/exec.h"

enum { CHECK_WEIGHTS = 32, CHECK_TENSORS = 64 };

struct check_weight_entry {
    char name[192];
    uint32_t rank;
    uint64_t dims[8];
    float *values;
};

struct check {
    vka_gpu *gpu;
    struct vka_kernel_table table;
    struct vka_graph *graph;
    vka_build build;
    struct check_weight_entry weights[CHECK_WEIGHTS];
    uint32_t weight_count;
    void *inputs[CHECK_TENSORS]; /* bytes of the inputs, pads included, by tensor id */
    vka_block *block, *args;
    uint64_t offsets[CHECK_TENSORS];  /* of each tensor in the block */
    uint32_t in_place[CHECK_TENSORS]; /* > 0: the tensor whose memory this one shares */
    uint8_t *before;                  /* the block's bytes before the run */
    vka_list *list;
};

/* The device of the tests ($VKANIM_DEVICE), with validation; ends the program with code 77 (skipped) when there is
 * none. */
vka_gpu *check_open_gpu(void);
/* The same with another queue for copies, or with times of every dispatch. */
vka_gpu *check_open_gpu_with(enum vka_transfers transfers, bool timers);
/* Asserts that the validation layers kept silent. */
void check_close_gpu(vka_gpu **gpu);

/* The device's kernel table, with the path that $VKA_CHECK_PATH names (fp32, fp16, khr, nv2; else the device's own) and the
 * fragment of $VKA_CHECK_MATRIX ("8x8x8").  A path that the device lacks ends the program with code 77; for nv2 on a software
 * device with those matrices at subgroup scope alone the kernels' form for that will do. */
struct vka_kernel_table check_table(const vka_gpu *gpu);

struct check *check_begin(vka_gpu *gpu, enum vka_dtype storage, enum vka_dtype weights, uint32_t branches,
                          uint32_t frames);
void check_end(struct check **c);

/* Deterministic values: uniform in [-1, 1) times `scale`. The same seed and count give the same values. */
float *check_random(uint64_t seed, size_t count, float scale);
/* The same, each rounded to fp16. */
uint16_t *check_random_halves(uint64_t seed, size_t count, float scale);
/* The nearest value of the type, as a device would hold it. */
void check_round(float *values, size_t count, enum vka_dtype type);

/* Fails with what the error says. */
void check_ok(vka_status status, const vka_error *err);
void check_finite(const char *what, const float *values, size_t count);
/* Every byte of the plan's arena becomes 0xff, slack included: NaN in fp32 and fp16. */
void check_spoil(struct vka_exec *exec);

/* A weight of the model: values are copied. */
void check_weight(struct check *c, const char *name, uint32_t rank, const uint64_t *dims, const float *values);
/* An input; values [n, h, w, channels] in fp32 (VKA_F16: rounded here; VKA_I32: int32_t through the pointer), n being
 * branches * frames in the domain VKA_SAMPLE.  Pads are zero. */
vka_tensor check_input(struct check *c, const char *name, enum vka_domain domain, enum vka_dtype dtype, uint32_t n,
                       uint32_t h, uint32_t w, uint32_t channels, const void *values);

/* Gives `out`, which is made later than `in`, the memory of `in` (same shape and type), as a plan may do. */
void check_in_place(struct check *c, vka_tensor out, vka_tensor in);

/* On a device without 16-bit storage VKA_F16 means fp32 that holds what fp16 could: networks run so there. */

/* Packs, records and runs every node.  A node that allows it runs in the parts `cuts` (which must cover its rows; all
 * samples have sn = 0, all pixels pn = 0); without cuts, or where a node cannot be cut that way, whole. */
void check_run(struct check *c, const struct vka_cut *cuts, uint32_t count);
/* Device time of the best of `rounds` further runs, in seconds. */
double check_time(struct check *c, uint32_t rounds);
/* The values of a tensor as fp32 [n, h, w, channels] (VKA_U8X4: four per element), after a look at its pads. */
float *check_output(struct check *c, vka_tensor t);

/* check_run cut along samples, two by two, or along the pixels of `out`, four by four; returns the values of `out`, ends c. */
enum check_along { CHECK_WHOLE, CHECK_SAMPLES, CHECK_PIXELS };
float *check_run_along(struct check *c, vka_tensor out, enum check_along along);

/* Asserts |got - want| <= tolerance * (1 + |want|) everywhere; `what` names the case. */
void check_close(const char *what, const float *got, const double *want, size_t count, double tolerance);
/* Asserts equal bits. */
void check_same(const char *what, const float *a, const float *b, size_t count);

#endif
