/* graph.h - what a network is before it runs: tensors, nodes, and the seam to the operators.  Pure CPU.
 *
 * A clip's activation is [n, h, w, c], NHWC, n = branches * frames with the branch slowest: sample
 * s = branch * frames + frame.  One sample is h*w rows ("pixels") of `pitch` elements, pitch = c rounded
 * up to 8; the pad channels are written as zero.  Such a tensor is in the domain VKA_SAMPLE: a part of the
 * clip is a range of samples or a range of pixels of every sample.  Everything else (weights, time
 * embedding, text, scalars of the step) is VKA_GLOBAL and never cut.
 *
 * A graph is built once for a shape (frames, branches, size), in execution order, by the functions of
 * `nets` through the builders of ops/ops.h.  The first error stays in the build and makes every later
 * call a no-op that returns the null tensor, so that a network reads without checks. */
#ifndef VKA_GRAPH_GRAPH_H
#define VKA_GRAPH_GRAPH_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vka_dtype { VKA_F32, VKA_F16, VKA_I32, VKA_U8X4 /* four bytes per element */ };
static inline uint32_t vka_dtype_bytes(enum vka_dtype t)
{
    return t == VKA_F16 ? 2 : 4;
}
static inline uint32_t vka_pitch(uint32_t c)
{
    return (c + 7) / 8 * 8;
}

enum vka_domain { VKA_GLOBAL, VKA_SAMPLE };

enum vka_role {
    VKA_TEMP,   /* lives between its producer and its last reader */
    VKA_INPUT,  /* bound to memory of the caller's before recording */
    VKA_OUTPUT, /* likewise */
    VKA_WEIGHT  /* packed from a recipe into the weight blocks */
};

typedef struct vka_tensor {
    uint32_t id; /* 0: no tensor */
} vka_tensor;

/* Where a weight's numbers come from: a named tensor of a model file.  Data stays owned by the file. */
struct vka_weight_data {
    const char *name; /* canonical (diffusers) name, for messages */
    const void *data;
    uint32_t dtype; /* enum vka_weight_dtype of weights/, opaque here: converted by `to_f32` of the source */
    uint32_t rank;
    uint64_t dims[8];
    const void *changes; /* the source's own: what `to_f32` does to the numbers, NULL: nothing */
    const float *scales; /* vka_weight.scales: of fp8 weights, for `to_f32` */
    uint64_t scale_run;
};

/* The network's view of a model file.  `weights` implements it; `find` marks the name as used. */
struct vka_weight_source {
    void *user;
    bool (*find)(void *user, const char *name, struct vka_weight_data *out);
    /* Converts `count` elements starting at element `first` of `w` to float32. */
    void (*to_f32)(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out);
};

enum { VKA_RECIPE_PARAMS = 16 };

/* How the packed bytes of a weight tensor are made; `kind` and `p` are ops/pack.h's business. */
struct vka_weight_recipe {
    uint32_t kind;
    uint32_t sources;
    const struct vka_weight_data *source;
    uint32_t p[VKA_RECIPE_PARAMS];
    const struct vka_weight_source *from;
};

struct vka_tensor_info {
    enum vka_dtype dtype;
    enum vka_domain domain;
    enum vka_role role;
    uint32_t n, h, w, c;
    uint32_t pitch;                   /* elements between pixels */
    uint32_t block;                   /* pixels of the clip that one of its pixels stands for: 1, or rows of a statistic */
    uint32_t stats;                   /* the tensor of its statistics, where a norm has asked for them; 0: none */
    const char *name;                 /* for messages and traces; never NULL */
    int32_t producer;                 /* node index, -1 for inputs and weights */
    struct vka_weight_recipe *recipe; /* role VKA_WEIGHT */
};

/* ---- operators ----------------------------------------------------------------------------------- */

/* ROW: whole rows of a picture, of whose first input a node may read some more (vka_op.halo).  Whatever has PIXEL has ROW. */
enum { VKA_AXIS_SAMPLE = 1, VKA_AXIS_PIXEL = 2, VKA_AXIS_ROW = 4 };

enum { VKA_NODE_INPUTS = 12, VKA_NODE_OUTPUTS = 2, VKA_NODE_PARAMS = 128 };

struct vka_node {
    const struct vka_op *op;
    vka_tensor in[VKA_NODE_INPUTS]; /* fixed positions per operator; id 0 where absent */
    vka_tensor out[VKA_NODE_OUTPUTS];
    uint32_t inputs, outputs;
    const char *label;                    /* "down_blocks.0.resnets.0.conv1" */
    bool once;                            /* depends on nothing that changes between steps: runs once per prompt */
    uint32_t in_place;                    /* bit i: out[0] may take the bytes of in[i], see vka_graph_in_place */
    bool ends;                            /* a segment ends behind it, see vka_graph_end_segment */
    uint64_t params[VKA_NODE_PARAMS / 8]; /* the operator's own struct, copied in */
};

struct vka_cost {
    double flop;
    double bytes; /* read and written */
};

/* The range of a clip that one recording of a node covers.  In a segment cut by samples p0 = 0 and
 * pn = 0 (all pixels of whatever size the tensor has); cut by pixels or rows s0 = 0 and sn = all.  A tensor whose pixels stand for
 * a block of the clip's is cut at p0 / block: segments are cut between blocks. */
struct vka_cut {
    uint32_t s0, sn;
    uint32_t p0, pn;
};

/* A tensor as a dispatch sees it: `address` is that of element (s0, p0, 0) of the part for tensors of the
 * domain VKA_SAMPLE (tensors of one pixel are not moved by p0), of element 0 otherwise.  In a part along rows a first input of
 * which more rows are read begins that much earlier, at most at the picture's first row, and has the more pixels. */
struct vka_view {
    uint64_t address;
    uint32_t sample_stride;  /* elements between samples */
    uint32_t n;              /* samples of the part (VKA_SAMPLE) or of the tensor (VKA_GLOBAL) */
    uint32_t pixels;         /* rows of a sample in the part */
    uint32_t h, w, c, pitch; /* of the whole tensor */
    enum vka_dtype dtype;
};

enum { VKA_DISPATCH_CONSTANTS = 24, VKA_DISPATCH_PUSH = 128 };

/* One kernel launch, as data. */
struct vka_dispatch {
    uint32_t shader; /* enum vka_shader_id */
    uint32_t subgroup_size;
    uint32_t count;
    uint32_t constants[VKA_DISPATCH_CONSTANTS];
    uint32_t push_bytes;
    uint32_t groups[3];
    uint8_t push[VKA_DISPATCH_PUSH];
};

struct vka_kernel_table; /* ops/table.h: what the device can do and which kernels it takes */

/* What an operator gets to record one part of a node. */
struct vka_recorder {
    const struct vka_kernel_table *table;
    struct vka_cut part;
    uint32_t frames; /* frames of one branch */
    struct vka_view in[VKA_NODE_INPUTS], out[VKA_NODE_OUTPUTS];
    /* Launches of this node; they may run in any order or at once. */
    void (*emit)(struct vka_recorder *r, const struct vka_dispatch *d);
    /* Puts `bytes` (a multiple of 4) of read-only arguments beside the plan; returns their device address,
     * 16-byte aligned. */
    uint64_t (*args)(struct vka_recorder *r, const void *data, uint32_t bytes);
    void *user;
};

struct vka_graph;

/* An operator is one const record, and the only place that knows its kernel. */
struct vka_op {
    const char *name;
    void (*cost)(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost);
    /* Axes along which a node may be cut: mask of VKA_AXIS_*. 0: only whole branches. */
    uint32_t (*axes)(const struct vka_graph *g, const struct vka_node *node);
    void (*record)(const struct vka_node *node, struct vka_recorder *r);
    /* Rows of in[0] above and below its own that a part along VKA_AXIS_ROW reads; NULL: none. */
    uint32_t (*halo)(const struct vka_node *node);
};

/* ---- graphs -------------------------------------------------------------------------------------- */

struct vka_graph {
    const char *name;                /* "unet" */
    uint32_t samples;                /* n of VKA_SAMPLE tensors */
    uint32_t frames;                 /* samples of one branch; divides `samples` */
    struct vka_tensor_info *tensors; /* [1 .. tensor_count-1]; 0 is the null tensor */
    uint32_t tensor_count;
    struct vka_node *nodes; /* in execution order */
    uint32_t node_count;
    size_t tensor_capacity, node_capacity;
    vka_arena arena; /* names, recipes */
};

typedef struct vka_build {
    struct vka_graph *graph;
    struct vka_weight_source source;
    enum vka_dtype storage;               /* of activations: VKA_F32 or VKA_F16 */
    enum vka_dtype weights;               /* of matrices: likewise */
    const struct vka_kernel_table *table; /* packing depends on it */
    const struct vka_low_rank *low_rank;  /* ops/ops.h; NULL: none */
    vka_error err;                        /* the first error */
    char missing[8][160];                 /* first names that the model lacks */
    uint32_t missing_count;
} vka_build;

/* A place in the tree of names: "down_blocks.0.resnets.1". */
typedef struct vka_scope {
    char path[192];
} vka_scope;
vka_scope vka_scope_root(const char *path);
vka_scope vka_in(vka_scope s, const char *name);
vka_scope vka_in_index(vka_scope s, const char *name, uint32_t index); /* "s.name.index" */

/* NULL when memory is short, or branches * frames is 0 or does not fit in 31 bits. */
struct vka_graph *vka_graph_create(const char *name, uint32_t branches, uint32_t frames);
void vka_graph_destroy(struct vka_graph **g);
static inline const struct vka_tensor_info *vka_info(const struct vka_graph *g, vka_tensor t)
{
    return &g->tensors[t.id];
}

/* A new tensor; `name` is copied.  n is ignored (set to graph->samples) in the domain VKA_SAMPLE. */
vka_tensor vka_graph_tensor(vka_build *b, const char *name, enum vka_domain domain, enum vka_role role,
                            enum vka_dtype dtype, uint32_t n, uint32_t h, uint32_t w, uint32_t c);
/* A weight: a GLOBAL tensor [n, h, w, c] whose pitch is exactly c (a packer pads by asking for more). The recipe and
 * its sources are copied.  Asked for again it is the same tensor. */
vka_tensor vka_graph_weight(vka_build *b, const char *name, enum vka_dtype dtype, uint32_t n, uint32_t h, uint32_t w,
                            uint32_t c, const struct vka_weight_recipe *recipe);
/* Appends a node; params (at most VKA_NODE_PARAMS bytes) are copied.  Null inputs are allowed where the operator
 * allows them.  Returns the node's index, or -1 after an error. */
int32_t vka_graph_node(vka_build *b, const struct vka_op *op, vka_scope label, const vka_tensor *in, uint32_t inputs,
                       const vka_tensor *out, uint32_t outputs, const void *params, size_t bytes);
/* A further output of a node that has been added already: `t` is a tensor without a producer. */
void vka_graph_add_output(vka_build *b, int32_t node, vka_tensor t);
/* The node's first output may be written over its input number `input` where that input is read no more: the kernel
 * reads an element of it in the invocation that writes the same element, before it does, and nowhere else. */
void vka_graph_in_place(vka_build *b, int32_t node, uint32_t input);
/* A plan's segment ends behind the node that makes `t`: where a network is long and nothing else parts it, so that no more of its
 * weights need be on the device at once than those of one piece.  No bit depends on it. */
void vka_graph_end_segment(vka_build *b, vka_tensor t);
/* The caller reads this tensor after the run. */
void vka_graph_output(vka_build *b, vka_tensor t);

/* The model's tensor `scope.name`; false (and noted as missing when `required`) if it is not there. */
bool vka_find_weight(vka_build *b, vka_scope s, const char *name, bool required, struct vka_weight_data *out);
/* Whether the model has `scope.name`; does not mark it as used. */
bool vka_has_weight(vka_build *b, vka_scope s, const char *name);
/* Sets the build's error (the first one stays). */
void vka_build_fail(vka_build *b, vka_status status, const char *what, ...) VKA_PRINTF(3, 4);
/* Ends a build: turns missing names into one error, moves everything that depends on VKA_GLOBAL tensors alone to the
 * front (what stays the same between steps first) and marks what runs once per prompt.  `changing` lists the inputs
 * that change every step. */
vka_status vka_build_finish(vka_build *b, const vka_tensor *changing, uint32_t count, vka_error *err);

/* Bytes of a whole tensor. */
uint64_t vka_tensor_bytes(const struct vka_tensor_info *t);

#endif
