/* matmul_workgroup.c - linear layers and convolutions on matrices of a workgroup (shaders/matmul_nv2.comp): which
 * products go there, their tiles, their records.
 *
 * The driver spreads a matrix over exactly `matrix2.invocations` invocations and stages it as it likes.  What is left
 * to choose is the accumulator, and where A comes from.  Registers of sums in an invocation, of 256:
 *
 *     128 x 128   64      two workgroups share an SM's 65536 registers on Ada and Blackwell
 *     128 x 160   80      the widths of SD1.5 are multiples of 320: no column is idle
 *     128 x 256  128      one workgroup an SM, 85 FLOP per byte from L2 instead of 64: the common choice for wgmma on
 *     256 x 128  128      Hopper (two groups of warps of 64 x 256 each), and what other engines begin with on Ada
 *     GEGLU has two accumulators over one A: 128 x 128 twice counts as 128 x 256
 *
 * Defaults: the widest whose columns are not idle by more than a sixteenth.  Frames of 64 rows and less: 64 rows, since
 * 32 samples then make 2048 rows in all, 160 tiles of 128 x 128 for 132 SMs.  A tuner changes that, and no bit.
 *
 * SAME BITS.  C[m, n] is the sum of products of blocks of BLOCK k, in order of k, each block added by one multiply-add
 * of whole matrices.  Neither extension says in which order or precision the products within a block are added; that
 * this does not depend on the rows, columns or address of the matrix is an assumption, true of hardware that adds 8 or
 * 16 k at a time into the accumulator.  So BLOCK is one number for all tiles, on which the packed weight's padding and
 * the splits rest too, and the bit sweep has to show the rest.
 *
 * WHAT ONLY A DRIVER WITH WORKGROUP SCOPE CAN PROVE (the subgroup form runs everything else on Mesa's lavapipe):
 *  1. it takes the binary: tensor layouts whose clamp mode is a specialization constant, vectors handed to functions
 *     per element, products of accumulators (OpFMul), coopMatLoad from shared memory declared as vectors of 16 bytes;
 *  2. exactly `invocations` invocations run every tile, widths of 160 and 320 (multiples of the granularity) too;
 *  3. negative offsets of slices under clamp mode Constant, strides of two pixels, and slices of four dimensions, of
 *     which three are the rows of a matrix, mean there what the extension's text says;
 *  4. equal bits: tiles 100 .. 116 among each other, tensor against gathered (120 ..), cut against whole;
 *  5. shared memory: `reserved_shared` and the gathered blocks fit in maxComputeSharedMemorySize;
 *  6. nothing spills: 256 x 160 and 128 x 320 hold 160 sums in an invocation.
 * WHAT THE FIRST VISIT LOOKS AT, in this order:
 *  1. TFLOP/s of 131072 x 2560 x 320 and 8192 x 10240 x 1280 on tile 102: on an H200 more than 500 says wgmma; below,
 *     it is mma.sync, and tiles that leave room for two workgroups an SM (100, 103) should win;
 *  2. 102 against 101, 103 and 104; two blocks a turn (102) against one (114);
 *  3. the convolution 131072 x 320 x 2880 by tensors (103) against gathered (121);
 *  4. the share of the epilogue, by 131072 x 320 x 320 with and without residual: where it is over a tenth, the bias
 *     would better be loaded as a matrix. */
#include "ops/matmul_workgroup.h"

#include "ops/launch.h"
#include "ops/ops.h"

#include <string.h>

/* lib/product.glsl */
enum {
    FLAG_NORM = 1,
    FLAG_SILU_IN = 2,
    FLAG_SAMPLE_BIAS = 4,
    FLAG_ADD = 8,
    FLAG_OUT_F32 = 16,
    FLAG_ADD_F32 = 32,
    FLAG_NORM_ODD = 64,
    FLAG_SPLIT = 256,
    FLAG_X_F32 = 512,
    FLAG_FRAME_BIAS = 1024
};

enum { BLOCK = 64, MOST_SUMS = 160, FEW_ROWS = 64, SHORTEST_K = 64, SMALL_BLOCK = 16, MOST_SAMPLES = 64 };

/* As the block WorkgroupArgs in shaders/matmul_nv2.comp. */
struct workgroup_args {
    struct vka_matmul_args common;
    uint32_t n_packed;
    uint32_t group_rows, group_tiles;
    uint32_t samples, out_h;
    uint32_t patches_y, patches_x;
    uint32_t splits, split_c;
    uint32_t split_segment[VKA_MATMUL_SPLITS + 1], split_k[VKA_MATMUL_SPLITS + 1];
};
_Static_assert(sizeof(struct workgroup_args) == 59 * 4, "as in shaders/matmul_nv2.comp");

struct workgroup_push {
    uint64_t x, x2, x3, weight, bias, result, add, sample_bias, norm, args;
    uint32_t tiles_m, tiles_n, band, unused;
};
_Static_assert(sizeof(struct workgroup_push) == 96, "as in shaders/matmul_nv2.comp");

/* ---- tiles ------------------------------------------------------------------------------------------- */

/* Numbers are for ever: tuning files name them.  `tensor`: A by tensor addressing where it can be; `turn`: blocks in a
 * turn of the loop of a linear layer. */
static const struct workgroup_tile {
    uint16_t id, rows, columns;
    uint8_t stages, tensor, turn;
    bool subgroup; /* for the form at subgroup scope */
} tiles[] = {
    {100, 128, 128, 2, 1, 2, false}, {101, 256, 128, 1, 1, 2, false}, {102, 128, 256, 2, 1, 2, false},
    {103, 128, 160, 2, 1, 2, false}, {104, 256, 160, 1, 1, 2, false}, {105, 64, 128, 2, 1, 2, false},
    {106, 128, 64, 2, 1, 2, false},  {107, 64, 64, 2, 1, 2, false},   {108, 64, 160, 2, 1, 2, false},
    {109, 128, 320, 2, 1, 2, false}, {110, 256, 64, 1, 1, 2, false},  {111, 64, 256, 2, 1, 2, false},
    {112, 64, 320, 2, 1, 2, false},  {113, 128, 128, 2, 1, 1, false}, {114, 128, 256, 2, 1, 1, false},
    {115, 256, 128, 1, 1, 1, false}, {116, 128, 160, 2, 1, 1, false}, {120, 128, 128, 2, 0, 2, false},
    {121, 128, 160, 2, 0, 2, false}, {122, 256, 128, 1, 0, 2, false}, {123, 128, 256, 2, 0, 2, false},
    {124, 64, 128, 2, 0, 2, false},  {125, 64, 64, 2, 0, 2, false},   {126, 128, 160, 1, 0, 2, false},
    {140, 16, 16, 2, 1, 1, true},    {141, 8, 32, 1, 1, 2, true},     {142, 16, 16, 2, 0, 1, true},
    {143, 32, 8, 1, 0, 1, true},
};
enum { TILES = sizeof tiles / sizeof *tiles };

/* Tried in order; a later one is taken where it leaves a sixteenth fewer columns. */
static const uint8_t many_rows[] = {102, 103, 100, 106, 140}, few_rows[] = {105, 108, 107, 140},
                     geglu[] = {100, 106, 107, 140};

/* A table of this path without workgroup scope, as tests make it for lavapipe: the kernel's form at subgroup scope, one
 * subgroup a workgroup. */
static bool at_subgroup(const struct vka_kernel_table *t)
{
    return t->matrix2.invocations == 0;
}

/* k of a block; code at subgroup scope grows with the product of a matrix's dimensions. */
static uint32_t block(const struct vka_kernel_table *t)
{
    return at_subgroup(t) ? SMALL_BLOCK : BLOCK;
}

static uint32_t threads(const struct vka_kernel_table *t)
{
    return at_subgroup(t) ? t->subgroup_size : t->matrix2.invocations;
}

/* Shared memory of `stages` gathered blocks; with what stands in for tensors in the form at subgroup scope. */
static uint32_t shared_bytes(const struct vka_kernel_table *t, uint32_t rows, uint32_t columns, uint32_t stages)
{
    uint32_t bytes = stages * rows * (block(t) / 8 + 1) * 16;
    uint32_t widest = vka_max_u32(columns, block(t)), shortest = vka_min_u32(columns, block(t));
    return bytes + (at_subgroup(t) ? 6 * widest * vka_max_u32(rows, shortest) : 0);
}

static uint32_t shared_room(const struct vka_kernel_table *t)
{
    return t->shared_bytes > t->matrix2.reserved_shared ? t->shared_bytes - t->matrix2.reserved_shared : 0;
}

static bool fits(const struct workgroup_tile *m, const struct vka_kernel_table *t, bool two)
{
    if (m->subgroup != at_subgroup(t) ||
        (!m->subgroup && (m->rows % t->matrix2.m || m->columns % t->matrix2.n || BLOCK % t->matrix2.k)))
        return false;
    uint32_t least = vka_min_u32(m->rows, 64); /* gathered, a record may halve the rows down to these */
    return threads(t) > 0 && threads(t) <= t->max_invocations &&
           (m->subgroup || (uint32_t)m->rows * m->columns * (two ? 2 : 1) / threads(t) <= MOST_SUMS) &&
           vka_max_u32(block(t), vka_max_u32(m->rows, m->columns)) <= t->matrix2.max_dimension &&
           shared_bytes(t, m->tensor ? least : m->rows, m->columns, m->tensor ? 1 : m->stages) <= shared_room(t);
}

static struct vka_matmul_tile tile_of(const struct workgroup_tile *m, const struct vka_kernel_table *t)
{
    return (struct vka_matmul_tile){.threads = (uint16_t)threads(t),
                                    .across = m->tensor,
                                    .rows = m->rows,
                                    .columns = m->columns,
                                    .depth = (uint16_t)block(t),
                                    .stages = m->stages,
                                    .id = m->id};
}

static const struct workgroup_tile *numbered(uint32_t id)
{
    for (uint32_t i = 0; i < TILES; i++)
        if (tiles[i].id == id)
            return &tiles[i];
    return NULL;
}

bool vka_matmul_on_workgroup(const struct vka_kernel_table *t, const struct vka_matmul_shape *s)
{
    if (t->path != VKA_PATH_NV2 || !vka_shader_built(VKA_SHADER_MATMUL_NV2) || !s->clip || s->x != VKA_F16 ||
        s->storage != VKA_F16 || s->weight != VKA_F16 || s->k < SHORTEST_K)
        return false;
    for (uint32_t i = 0; i < TILES; i++)
        if (fits(&tiles[i], t, s->geglu))
            return true;
    return false;
}

/* What the tuner chose, else the default; NULL when no tile fits. */
static const struct workgroup_tile *first_tile(const struct vka_kernel_table *t, const struct vka_matmul_shape *s)
{
    const uint32_t class = vka_matmul_class(s), n = s->geglu ? s->n / 2 : s->n;
    const uint8_t *ids = s->geglu ? geglu : s->pixels <= FEW_ROWS ? few_rows : many_rows;
    const uint32_t count = s->geglu ? sizeof geglu : s->pixels <= FEW_ROWS ? sizeof few_rows : sizeof many_rows;
    const struct workgroup_tile *best = NULL;
    uint64_t least = 0;
    for (uint32_t i = 0; i < t->tuned_count && i < VKA_TUNED; i++) {
        const struct workgroup_tile *m = t->tuned[i].shape_class == class ? numbered(t->tuned[i].tile) : NULL;
        if (m && fits(m, t, s->geglu))
            return m;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct workgroup_tile *m = numbered(ids[i]);
        if (!fits(m, t, s->geglu))
            continue;
        uint64_t columns = (uint64_t)vka_div_up(n, m->columns) * m->columns;
        if (!best || columns * 16 <= least * 15) {
            least = columns;
            best = m;
        }
    }
    for (uint32_t i = 0; i < TILES && !best; i++)
        if (fits(&tiles[i], t, s->geglu))
            best = &tiles[i];
    return best;
}

uint32_t vka_matmul_workgroup_tiles(const struct vka_kernel_table *t, const struct vka_matmul_shape *s,
                                    struct vka_matmul_tile *out, uint32_t most)
{
    const struct workgroup_tile *first = vka_matmul_on_workgroup(t, s) ? first_tile(t, s) : NULL;
    uint32_t count = 0;
    if (!first)
        return 0;
    if (count++ < most)
        out[0] = tile_of(first, t);
    for (uint32_t i = 0; i < TILES; i++)
        if (&tiles[i] != first && fits(&tiles[i], t, s->geglu)) {
            if (count < most)
                out[count] = tile_of(&tiles[i], t);
            count++;
        }
    return count;
}

/* ---- records ----------------------------------------------------------------------------------------- */

/* Samples, rows and columns of pixels; powers of two whose product is the tile's rows. */
struct patch {
    uint32_t s, h, w;
};

/* The patch that covers pictures of h x w with the fewest tiles; of those the one that asks for the fewest pixels
 * around it. Several samples only where a tile has more rows than a picture: what decides is the picture alone. */
static struct patch choose_patch(uint32_t rows, uint32_t h, uint32_t w)
{
    struct patch best = {0};
    double least = 0;
    for (uint32_t pw = 1; pw <= rows; pw *= 2)
        for (uint32_t ph = 1; ph * pw <= rows; ph *= 2) {
            const struct patch p = {rows / (ph * pw), ph, pw};
            double count = (double)vka_div_up(h, ph) * vka_div_up(w, pw) / p.s;
            double cost = count * 65536 + (double)p.s * (ph + 2) * (pw + 2) / rows;
            if (p.s <= MOST_SAMPLES && (!best.s || cost < least)) {
                best = p;
                least = cost;
            }
        }
    return best;
}

/* Whether samples follow one another without a gap, so that all rows of the part make one tensor. */
static bool contiguous(const struct vka_view *v)
{
    return !v->address || v->n <= 1 || v->sample_stride == v->pixels * v->pitch;
}

/* A convolution that is a linear layer: 1x1 of every pixel. */
static bool pointwise(const struct vka_matmul_params *p, const struct vka_view *x)
{
    return p->kernel == 1 && p->stride == 1 && !p->pad_top && !p->pad_left && p->up_h == x->h && p->up_w == x->w;
}

/* Whether tensors can address x as the product takes it.  Of a stride of 2 every other row is a tensor of its own,
 * whose samples must be as far apart as its rows reach. */
static bool by_tensor(const struct vka_node *node, const struct vka_view *x, bool conv)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    if (node->in[VKA_MATMUL_NORM].id || p->act_in != VKA_ACT_NONE || x->dtype != VKA_F16)
        return false;
    return !conv || (p->up_h == x->h && p->up_w == x->w && (p->stride == 1 || x->h % 2 == 0));
}

/* Rows of the picture in the part. */
static uint32_t conv_rows(const struct vka_view *out)
{
    return out->pixels / out->w;
}

void vka_matmul_record_workgroup(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    const struct vka_kernel_table *t = r->table;
    const struct vka_view *x = &r->in[VKA_MATMUL_X], *x2 = &r->in[VKA_MATMUL_X2], *x3 = &r->in[VKA_MATMUL_X3];
    const struct vka_view *add = &r->in[VKA_MATMUL_ADD], *out = &r->out[0];
    const vka_tensor *in = node->in;
    struct workgroup_args a = {.n_packed = p->n_packed, .samples = out->n, .out_h = conv_rows(out)};
    const bool split = p->splits > 1, conv = p->kernel && !pointwise(p, x), two = p->act == VKA_ACT_GEGLU;
    const bool tensor = p->tile.across && by_tensor(node, x, conv);
    const uint32_t columns = p->tile.columns, depth = p->tile.depth;
    uint32_t rows = p->tile.rows, stages = p->tile.stages;
    vka_matmul_fill(node, r, &a.common);
    if (split) {
        vka_matmul_place_splits(&a.common, p->splits, a.split_segment, a.split_k);
        a.splits = p->splits;
        a.split_c = out->pitch / p->splits;
    }
    while (!tensor && shared_bytes(t, rows, columns, stages) > shared_room(t) && (stages > 1 || rows > 64)) {
        if (stages > 1) /* neither changes a bit */
            stages--;
        else
            rows /= 2;
    }
    struct patch patch = {1, 1, rows};
    uint32_t pixels = out->pixels, tiles_m;
    if (conv && tensor) {
        patch = choose_patch(rows, out->h, out->w);
        a.patches_y = vka_div_up(a.out_h, patch.h);
        a.patches_x = vka_div_up(out->w, patch.w);
        tiles_m = vka_div_up(out->n, patch.s) * a.patches_y * a.patches_x;
        a.group_rows = a.group_tiles = 1;
    } else {
        bool one = contiguous(x) && contiguous(x2) && contiguous(x3) && contiguous(add) && contiguous(out);
        uint32_t groups = conv || one ? 1 : out->n;
        a.group_rows = groups > 1 ? pixels : out->n * pixels;
        a.group_tiles = vka_div_up(a.group_rows, rows);
        tiles_m = groups * a.group_tiles;
    }
    const bool one_sample = conv && tensor ? patch.s == 1 : a.group_rows == pixels || pixels % rows == 0;
    uint32_t n = split ? a.split_c : out->pitch; /* pads of the output are written too */
    struct workgroup_push push = {.x = x->address,
                                  .x2 = x2->address,
                                  .x3 = x3->address,
                                  .weight = r->in[VKA_MATMUL_WEIGHT].address,
                                  .bias = r->in[VKA_MATMUL_BIAS].address,
                                  .result = out->address,
                                  .add = add->address,
                                  .sample_bias = vka_matmul_sample_bias(node, r),
                                  .norm = r->in[VKA_MATMUL_NORM].address,
                                  .args = r->args(r, &a, sizeof a),
                                  .tiles_m = tiles_m,
                                  .tiles_n = vka_div_up(n, columns)};
    /* The tiles that run at once should be about square: with few columns a row of tiles after the other, with many
     * 2048 rows side by side. */
    push.band = push.tiles_n <= 8 ? 1 : vka_max_u32(1, 2048u / rows);
    uint32_t flags = (in[VKA_MATMUL_NORM].id ? FLAG_NORM : 0) |
                     (in[VKA_MATMUL_NORM].id && in[VKA_MATMUL_X2].id && p->c1 % 4 ? FLAG_NORM_ODD : 0) |
                     (p->act_in == VKA_ACT_SILU ? FLAG_SILU_IN : 0) | (x->dtype == VKA_F32 ? FLAG_X_F32 : 0) |
                     (in[VKA_MATMUL_SAMPLE_BIAS].id ? FLAG_SAMPLE_BIAS : 0) |
                     (in[VKA_MATMUL_SAMPLE_BIAS].id && p->frame_bias ? FLAG_FRAME_BIAS : 0) |
                     (in[VKA_MATMUL_ADD].id ? FLAG_ADD : 0) |
                     (in[VKA_MATMUL_ADD].id && add->dtype == VKA_F32 ? FLAG_ADD_F32 : 0) |
                     (out->dtype == VKA_F32 && !split ? FLAG_OUT_F32 : 0) | (split ? FLAG_SPLIT : 0);
    const bool edge =
        a.group_rows % rows || a.common.x_pitch % depth || (in[VKA_MATMUL_X2].id && a.common.x2_pitch % depth);
    const uint32_t constants[] = {p->tile.threads,
                                  rows,
                                  columns,
                                  depth,
                                  tensor,
                                  patch.s,
                                  patch.h,
                                  patch.w,
                                  edge,
                                  p->n_packed / (two ? 2 : 1) % columns != 0,
                                  tensor ? 1 : stages,
                                  a.common.segments == 1,
                                  numbered(p->tile.id)->turn,
                                  conv,
                                  flags,
                                  p->act,
                                  one_sample};
    vka_launch_pinned(r, at_subgroup(t) ? VKA_SHADER_MATMUL_NV2_SUBGROUP : VKA_SHADER_MATMUL_NV2, t->subgroup_size,
                      constants, sizeof constants / sizeof *constants, &push, sizeof push,
                      (uint64_t)push.tiles_m * push.tiles_n * (split ? p->splits : 1), 1);
}
