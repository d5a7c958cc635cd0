/* matmul.h - what the files of linear layers and convolutions share: a node's inputs and parameters, and the tile.
 *
 * matmul.c builds the nodes; matmul_launch.c records them for shaders/matmul.comp, matmul_matrix.c for matrix units.
 *
 * One node, whichever kernel runs it: for row m = (sample s, pixel p) and output channel n
 *     v = sum over k of A[m, k] B[k, n] + bias[n] + sample_bias[row(s), n];   y = act(v) + add[m, n].
 * K is a run of segments, in this order: the `taps` of x (row-major; 1 for a linear layer), then x2, then x3, where they
 * are, each as long as its input's pitch.  A linear layer's x2 stands behind x at the same pixel.  So do x2 and x3 of a
 * convolution: a 3x3 one of stride 1 without enlargement may carry a 1x1 convolution of other pictures of its output's size
 * (a ResNet's shortcut over x | skip) in its own sum.
 * row(s): 0 where sample_bias has one row in all, s where it is a tensor of the clip (or as long as a GLOBAL output), and
 * the sample's frame, bias_row + (first sample of the part + s) mod frames, where `frame_bias` is set: sample_bias is then
 * GLOBAL [1, 1, >= bias_row + frames, N].  Its channel n is that of number bias_channel + n in the tensor.
 * out[1], where the node has two outputs: statistics of y for a norm, f32 [n, 1, blocks, 2 P], P the pitch of y: for each
 * block of rows of a sample (the tensor's `block`) P means, then P sums of squared distances from them (pads: zero), of y before
 * it is rounded for storing.  A part begins and ends on a block's border. */
#ifndef VKA_OPS_MATMUL_H
#define VKA_OPS_MATMUL_H

#include "graph/graph.h"
#include "ops/table.h"

enum vka_matmul_input {
    VKA_MATMUL_X,
    VKA_MATMUL_X2,
    VKA_MATMUL_WEIGHT,
    VKA_MATMUL_BIAS,
    VKA_MATMUL_NORM,
    VKA_MATMUL_SAMPLE_BIAS,
    VKA_MATMUL_ADD,
    VKA_MATMUL_X3,
    VKA_MATMUL_INPUTS
};

/* How a workgroup cuts a product.  Of the portable kernels: `threads` make (threads / across * rows) x (across * columns)
 * outputs, `depth` of K at a time.  Of matrix kernels (id > 0): rows x columns outputs in all, `across` subgroups side by
 * side, and `id` names the tile in tuning files, for ever. */
struct vka_matmul_tile {
    uint16_t threads, across, rows, columns, depth;
    bool shuffled;
    uint8_t stages; /* of shared memory */
    uint16_t id;    /* 0: a portable kernel */
};

/* What decides a tile: facts of one frame. */
struct vka_matmul_shape {
    enum vka_dtype x, storage, weight; /* of the input, of activations, of the packed weight */
    bool clip;                         /* the output is in the domain VKA_SAMPLE */
    bool conv, geglu;
    uint32_t pixels; /* output rows of one frame */
    uint32_t rows;   /* of the whole tensor when it is never cut, else 0 */
    uint32_t k;      /* of the model */
    uint32_t n;      /* of the model: outputs before GEGLU halves them */
};

struct vka_matmul_params {
    struct vka_matmul_tile tile;
    uint32_t k, k_packed; /* of the model; of the packed weight */
    uint32_t n, n_packed;
    uint32_t c1;     /* channels of x */
    uint32_t taps;   /* segments of x */
    uint32_t splits; /* > 1: the node leaves that many partial sums, see vka_matmul_split */
    bool frame_bias;
    uint32_t bias_channel; /* sample_bias begins there, */
    uint32_t bias_row;     /* and in this row of a table of frames */
    uint32_t act, act_in;
    uint32_t kernel; /* 0: linear */
    uint32_t stride, pad_top, pad_left, up_h, up_w;
};
_Static_assert(sizeof(struct vka_matmul_params) <= VKA_NODE_PARAMS, "a node's parameters");

/* Lets the product that makes `y` leave statistics of it too, as said above; the null tensor where `y` is none's, or its
 * frames are not made of whole blocks. */
vka_tensor vka_matmul_statistics(vka_build *b, vka_tensor y);

/* The tile of a product, as the tuner or the table of defaults has it. */
struct vka_matmul_tile vka_matmul_choose(const struct vka_kernel_table *t, const struct vka_matmul_shape *s);

/* Matrix tiles numbered from here on are those of a workgroup (matmul_workgroup.c), the ones before of a subgroup. */
enum { VKA_TILE_WORKGROUP = 100 };
/* Most runs of K that a product is split into. */
enum { VKA_MATMUL_SPLITS = 4 };

/* How a tile wants its weight packed: columns of a panel (0: one panel as wide as the weight, GEGLU's gates behind its
 * values), k side by side, and of what the packed k of the last segment is a multiple. */
static inline uint32_t vka_matmul_panel(const struct vka_matmul_tile *t)
{
    return t->id >= VKA_TILE_WORKGROUP ? 0 : t->id ? 32 : (uint32_t)(t->across * t->columns);
}
static inline uint32_t vka_matmul_group(const struct vka_matmul_tile *t)
{
    return t->id && t->id < VKA_TILE_WORKGROUP ? 8 : 1;
}
static inline uint32_t vka_matmul_depth(const struct vka_matmul_tile *t)
{
    return t->id ? 64 : t->depth;
}

/* ---- tiles on matrix units (matmul_matrix.c) ---------------------------------------------------------- */

/* Whether the table's matrix units take this product. */
bool vka_matmul_on_matrix(const struct vka_kernel_table *t, const struct vka_matmul_shape *s);
/* Every tile that the device can run the product with, the default first; all give the same bits.  Returns how many there
 * are, of which at most `most` are written; 0 when the product is not for matrix units. */
uint32_t vka_matmul_tiles(const struct vka_kernel_table *t, const struct vka_matmul_shape *s, struct vka_matmul_tile *out,
                          uint32_t most);
/* Whether matrix kernels can leave statistics of 64 rows with this tile; one of fewer rows is replaced by another, which
 * changes neither the packed weight nor the product's bits. */
bool vka_matmul_statistics_tile(const struct vka_kernel_table *t, struct vka_matmul_tile *tile);
/* The class of a product for the tuner: shapes of one class take one tile. */
uint32_t vka_matmul_class(const struct vka_matmul_shape *s);
/* Into how many runs of K a product is split, each summed by itself and then all in order: more than 1 where a frame is
 * too small to fill a GPU and K is long.  A function of these alone, since it moves bits. */
uint32_t vka_matmul_splits(const struct vka_kernel_table *t, const struct vka_matmul_shape *s);

struct vka_linear_args;
struct vka_conv_args;
/* vka_linear and vka_conv without low-rank products (low_rank.c). */
vka_tensor vka_matmul_linear(vka_build *b, vka_tensor x, const struct vka_linear_args *a);
vka_tensor vka_matmul_conv(vka_build *b, vka_tensor x, const struct vka_conv_args *a);

/* ---- what records share (matmul_launch.c) ---------------------------------------------------------------- */

/* As the block Args in shaders/matmul.comp and the first part of that in shaders/matmul_khr.comp. */
struct vka_matmul_args {
    uint32_t pixels, pixels_magic, pixels_shift;
    uint32_t x_stride, x_pitch, x2_stride, x2_pitch, x3_stride, x3_pitch;
    uint32_t result_stride, result_pitch, result_c;
    uint32_t add_stride, add_pitch;
    uint32_t sample_bias_stride, first_frame, frames, frames_magic, frames_shift;
    uint32_t norm_stride, norm_pitch, norm_second;
    uint32_t taps, segments, k_packed;
    uint32_t kernel, stride, pad_top, pad_left;
    uint32_t out_w, out_w_magic, out_w_shift;
    uint32_t in_h, in_w, up_h, up_w;
    uint32_t up_h_magic, up_h_shift, up_w_magic, up_w_shift;
};
_Static_assert(sizeof(struct vka_matmul_args) == 40 * 4, "as in shaders/matmul.comp");

static inline const struct vka_matmul_params *vka_matmul_of(const struct vka_node *node)
{
    return (const struct vka_matmul_params *)(const void *)node->params;
}
/* Where the node's sample_bias begins. */
static inline uint64_t vka_matmul_sample_bias(const struct vka_node *node, const struct vka_recorder *r)
{
    const struct vka_view *bias = &r->in[VKA_MATMUL_SAMPLE_BIAS];
    const struct vka_matmul_params *p = vka_matmul_of(node);
    return bias->address + 4 * ((uint64_t)p->bias_row * bias->pitch + p->bias_channel);
}
/* n / d by multiplication for n < 2^31, d > 0 (Granlund and Montgomery, 1994). */
void vka_matmul_magic(uint32_t d, uint32_t *multiplier, uint32_t *shift);
void vka_matmul_fill(const struct vka_node *node, const struct vka_recorder *r, struct vka_matmul_args *a);
void vka_matmul_record_matrix(const struct vka_node *node, struct vka_recorder *r);
/* Where each run of a split product begins, [splits + 1]: a segment and a k in it. */
void vka_matmul_place_splits(const struct vka_matmul_args *a, uint32_t splits, uint32_t *segment, uint32_t *k);

/* The node that makes the partial sums of a product and the one that adds them up; `in`, `out` and `p` are those of the
 * whole product.  Returns the index of the second, which may run in place as the whole would. */
int32_t vka_matmul_split(vka_build *b, const struct vka_op *op, vka_scope at, const vka_tensor in[VKA_MATMUL_INPUTS],
                         vka_tensor out, const struct vka_matmul_params *p);

extern const struct vka_op vka_op_linear, vka_op_conv, vka_op_matmul_sum;

#endif
