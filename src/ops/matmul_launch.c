/* matmul_launch.c - linear layers and convolutions as launches of shaders/matmul.comp: the choice of the tile, cost, and
 * records.  The tile depends on the kernel table and the shape of one frame alone. */
#include "ops/launch.h"
#include "ops/matmul.h"
#include "ops/ops.h"

enum {
    FLAG_NORM = 1,
    FLAG_SILU_IN = 2,
    FLAG_SAMPLE_BIAS = 4,
    FLAG_ADD = 8,
    FLAG_X_F32 = 16,
    FLAG_OUT_F32 = 32,
    FLAG_ADD_F32 = 64,
    FLAG_W_F16 = 128,
    FLAG_NORM_ODD = 256,
    FLAG_EXTRA = 512, /* a convolution with x2, and perhaps x3 */
    FLAG_STATS = 1024,
    FLAG_WHOLE = 2048 /* where it helps a shuffled kernel: no tile has rows of two samples */
};

/* As the push block of shaders/matmul.comp. */
struct matmul_push {
    uint64_t x, x2, x3, weight, bias, result, add, sample_bias, norm, stats, args;
    uint32_t rows, tiles_n, tiles, stats_stride;
};
_Static_assert(sizeof(struct matmul_push) == 104, "as in shaders/matmul.comp");

void vka_matmul_magic(uint32_t d, uint32_t *multiplier, uint32_t *shift)
{
    uint32_t s = 0;
    while (((uint64_t)1 << s) < d)
        s++;
    uint64_t one = (uint64_t)1 << (31 + s);
    *multiplier = (uint32_t)((one + d - 1) / d);
    *shift = s;
}

/* Whether a staging kernel keeps operands in fp16 on their way. */
static bool takes_halves(const struct vka_kernel_table *t, enum vka_dtype x, enum vka_dtype weight)
{
    return !t->cpu && t->arithmetic_f16 && x == VKA_F16 && weight == VKA_F16;
}

/* On a software device a lane's 4 columns times 32 rows pay for the loads, which cost far more than sums held in the
 * first level cache; 64 rows or 8 columns gain a tenth but double the compile time. `depth` is as many k as one load
 * brings. */
struct vka_matmul_tile vka_matmul_choose(const struct vka_kernel_table *t, const struct vka_matmul_shape *s)
{
    struct vka_matmul_tile tile;
    if (vka_matmul_tiles(t, s, &tile, 1))
        return tile;
    if (t->cpu) {
        bool half = s->storage == VKA_F16 || s->x == VKA_F16; /* fp16 may be among the types */
        uint16_t lanes = (uint16_t)t->subgroup_size, few = lanes < 8 ? 8 : lanes;
        uint16_t down = s->rows && s->rows <= few ? few : 32, depth = t->wide_loads && half ? 4 : 2;
        return (struct vka_matmul_tile){lanes, lanes, down, 4, depth, .shuffled = true};
    }
    uint16_t threads = t->max_invocations >= 256 ? 256 : 128;
    bool large = threads == 256 && s->pixels >= 1024 && s->n >= 128;
    bool halves = takes_halves(t, s->x, s->weight);
    uint16_t depth = halves ? 32 : 16; /* equally many bytes of shared memory */
    /* a convolution's places take more registers, and halves spare the reads that wide tiles are for */
    if (large && t->few_registers && !s->conv && !halves)
        return (struct vka_matmul_tile){threads, 16, 4, 8, depth, .shuffled = false};
    if (large && !t->few_registers && t->shared_bytes >= 20480)
        return (struct vka_matmul_tile){threads, 16, 8, 8, depth, .shuffled = false};
    return (struct vka_matmul_tile){threads, 16, 4, 4, depth, .shuffled = false};
}

/* ---- the operator --------------------------------------------------------------------------------- */

static void matmul_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct vka_tensor_info *out = vka_info(g, node->out[0]);
    cost->flop = 2.0 * out->n * out->h * out->w * (double)vka_matmul_of(node)->n * vka_matmul_of(node)->k;
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t linear_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static uint32_t conv_axes(const struct vka_graph *g, const struct vka_node *node)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    const struct vka_tensor_info *x = vka_info(g, node->in[VKA_MATMUL_X]), *out = vka_info(g, node->out[0]);
    bool same = p->stride == 1 && p->up_h == x->h && p->up_w == x->w && out->h == x->h && out->w == x->w &&
                p->pad_top == p->kernel / 2;
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | (same ? VKA_AXIS_ROW : 0));
}

static uint32_t conv_halo(const struct vka_node *node)
{
    return vka_matmul_of(node)->kernel / 2;
}

void vka_matmul_fill(const struct vka_node *node, const struct vka_recorder *r, struct vka_matmul_args *a)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    const struct vka_view *x = &r->in[VKA_MATMUL_X], *x2 = &r->in[VKA_MATMUL_X2], *x3 = &r->in[VKA_MATMUL_X3];
    const struct vka_view *out = &r->out[0], *add = &r->in[VKA_MATMUL_ADD], *norm = &r->in[VKA_MATMUL_NORM];
    const struct vka_view *bias = &r->in[VKA_MATMUL_SAMPLE_BIAS];
    /* of a band of rows the picture is what there is of x, and what lies outside of that is padding as ever */
    const uint32_t in_h = r->part.pn && p->kernel ? x->pixels / x->w : x->h;
    const uint32_t above = r->part.pn && p->kernel ? vka_min_u32(p->pad_top, r->part.p0 / out->w) : 0;
    *a = (struct vka_matmul_args){
        .pixels = out->pixels,
        .x_stride = x->sample_stride,
        .x_pitch = x->pitch,
        .x2_stride = x2->sample_stride,
        .x2_pitch = x2->pitch,
        .x3_stride = x3->sample_stride,
        .x3_pitch = x3->pitch,
        .result_stride = out->sample_stride,
        .result_pitch = out->pitch,
        .result_c = out->c,
        .add_stride = add->sample_stride,
        .add_pitch = add->pitch,
        .sample_bias_stride = p->frame_bias ? bias->pitch : bias->n > 1 ? bias->sample_stride : 0,
        .first_frame = p->frame_bias ? r->part.s0 % r->frames : 0,
        .frames = p->frame_bias ? r->frames : 1u << 30, /* else every sample stays its own row */
        .norm_stride = norm->n > 1 ? norm->sample_stride : 0,
        .norm_pitch = norm->c / 2,
        .norm_second = p->c1,
        .taps = p->taps,
        .segments = p->taps + (node->in[VKA_MATMUL_X2].id != 0) + (node->in[VKA_MATMUL_X3].id != 0),
        .k_packed = p->k_packed,
        .kernel = p->kernel,
        .stride = p->stride,
        .pad_top = p->pad_top - above,
        .pad_left = p->pad_left,
        .out_w = out->w,
        .in_h = in_h,
        .in_w = x->w,
        .up_h = r->part.pn && p->kernel ? in_h : p->up_h,
        .up_w = p->up_w,
    };
    vka_matmul_magic(a->pixels, &a->pixels_magic, &a->pixels_shift);
    vka_matmul_magic(a->frames, &a->frames_magic, &a->frames_shift);
    if (p->kernel) {
        vka_matmul_magic(a->out_w, &a->out_w_magic, &a->out_w_shift);
        vka_matmul_magic(a->up_h, &a->up_h_magic, &a->up_h_shift);
        vka_matmul_magic(a->up_w, &a->up_w_magic, &a->up_w_shift);
    }
}

static void matmul_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    const struct vka_view *x = &r->in[VKA_MATMUL_X], *x2 = &r->in[VKA_MATMUL_X2], *x3 = &r->in[VKA_MATMUL_X3];
    const struct vka_view *out = &r->out[0], *add = &r->in[VKA_MATMUL_ADD];
    const struct vka_view *norm = &r->in[VKA_MATMUL_NORM];
    struct vka_matmul_args a;
    if (p->tile.id) {
        vka_matmul_record_matrix(node, r);
        return;
    }
    vka_matmul_fill(node, r, &a);
    const struct vka_matmul_tile *t = &p->tile;
    uint32_t rows = out->n * out->pixels, bm = (uint32_t)(t->threads / t->across * t->rows);
    uint32_t bn = (uint32_t)(t->across * t->columns);
    uint32_t columns = p->act == VKA_ACT_GEGLU ? 2 * out->pitch : out->pitch; /* pads of the output are written too */
    uint32_t tiles_n = vka_div_up(columns, bn);
    uint64_t tiles = (uint64_t)vka_div_up(rows, bm) * tiles_n;
    struct matmul_push push = {.x = x->address,
                               .x2 = node->in[VKA_MATMUL_X2].id ? x2->address : x->address,
                               .x3 = node->in[VKA_MATMUL_X3].id ? x3->address : x->address,
                               .weight = r->in[VKA_MATMUL_WEIGHT].address,
                               .bias = r->in[VKA_MATMUL_BIAS].address,
                               .result = out->address,
                               .add = add->address,
                               .sample_bias = vka_matmul_sample_bias(node, r),
                               .norm = norm->address,
                               .stats = r->out[1].address,
                               .args = r->args(r, &a, sizeof a),
                               .rows = rows,
                               .tiles_n = tiles_n,
                               .tiles = (uint32_t)tiles,
                               .stats_stride = r->out[1].sample_stride};
    uint32_t flags = (node->in[VKA_MATMUL_NORM].id ? FLAG_NORM | (node->in[VKA_MATMUL_X2].id && p->c1 % 2 ? FLAG_NORM_ODD : 0) : 0) |
                     (p->act_in == VKA_ACT_SILU ? FLAG_SILU_IN : 0) |
                     (node->in[VKA_MATMUL_SAMPLE_BIAS].id ? FLAG_SAMPLE_BIAS : 0) | (node->in[VKA_MATMUL_ADD].id ? FLAG_ADD : 0) |
                     (p->kernel && node->in[VKA_MATMUL_X2].id && !t->shuffled ? FLAG_EXTRA : 0) |
                     (node->outputs > 1 && !t->shuffled ? FLAG_STATS : 0) |
                     (t->shuffled && (node->in[VKA_MATMUL_NORM].id || node->in[VKA_MATMUL_SAMPLE_BIAS].id) && out->pixels % bm == 0
                          ? FLAG_WHOLE
                          : 0) |
                     (r->in[VKA_MATMUL_WEIGHT].dtype == VKA_F16 ? FLAG_W_F16 : 0);
    bool f16 = x->dtype == VKA_F16 || out->dtype == VKA_F16 || (node->in[VKA_MATMUL_ADD].id && add->dtype == VKA_F16);
    if (f16) /* with fp32 storage there is only one type */
        flags |= (x->dtype == VKA_F32 ? FLAG_X_F32 : 0) | (out->dtype == VKA_F32 ? FLAG_OUT_F32 : 0) |
                 (node->in[VKA_MATMUL_ADD].id && add->dtype == VKA_F32 ? FLAG_ADD_F32 : 0);
    const uint32_t constants[] = {t->threads, t->across, t->rows, t->columns, t->depth, p->kernel != 0, flags, p->act};
    enum vka_dtype storage = f16 ? VKA_F16 : VKA_F32;
    uint32_t shader = t->shuffled ? VKA_WIDE_VARIANT(r->table, storage, VKA_SHADER_MATMUL_SHUFFLED)
                      : takes_halves(r->table, x->dtype, r->in[VKA_MATMUL_WEIGHT].dtype)
                          ? VKA_SHADER_MATMUL_HALVES
                          : vka_variant(storage, VKA_SHADER_MATMUL_F32, VKA_SHADER_MATMUL_F16);
    vka_launch_pinned(r, shader, t->shuffled ? r->table->subgroup_size : 0, constants,
                      sizeof constants / sizeof *constants, &push, sizeof push, tiles, 1);
}

const struct vka_op vka_op_linear = {"linear", matmul_cost, linear_axes, matmul_record, NULL};
const struct vka_op vka_op_conv = {"conv", matmul_cost, conv_axes, matmul_record, conv_halo};

