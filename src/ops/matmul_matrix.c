/* matmul_matrix.c - linear layers and convolutions on the matrix units of a subgroup (shaders/matmul_khr.comp): which products
 * go there, their tiles, their records, and split sums.
 *
 * A tile is workgroup-wide: rows x columns of the output, `depth` of K at a time, cut into equal rectangles of one subgroup
 * each.  For fragments of 16 x 16 x 16 and a rectangle of a x b fragments, a + b fragments of 512 bytes are read from shared
 * memory for a b products of 8192 FLOP.  A subgroup of 32 holds 8 registers per fragment of sums, 4 per fragment of an
 * operand (8 on RDNA3, where both halves of the lanes hold the same), and (rows + columns) depth / 8 / threads loads of 4
 * registers under way.  Registers and subgroups per SIMD (on NVIDIA: per SM) of the default tiles, of a 3x3 convolution,
 * from drivers on stand-in devices (Mesa 26.1.6):
 *
 *     tile                                bytes/product  sums  registers     subgroups  shared memory
 *     RDNA3 (RADV) 128 x 128, 4 of 4 x 4       256        128  240           6          20 KiB
 *     RDNA3        128 x 160, 8 of 2 x 5       358         80  192           8          23 KiB
 *     RDNA4        the two                                     240, 192      6, 8
 *     Ampere (NVK) 128 x 128, 8 of 2 x 4       384         64  152           8 of 48    40 KiB
 *     Ampere       128 x 160, 8 of 2 x 5       358         80  200           8 of 48    45 KiB
 *     Xe2          128 x 128, 32 of 2 x 2      512         32  not known     -          32 KiB
 *
 * Shared memory: an RDNA3 SIMD multiplies fragments in 32 cycles and reads operands twice, once for each half of the lanes; two
 * SIMDs share 128 bytes a cycle: 2 x 2 x 256 / 128 = 8 of 32 cycles for 4 x 4, 11 for 2 x 5.  RDNA4 multiplies in 16 cycles
 * and reads once: 4 and 6 of 16.  RADV reads 8 bytes at a time there, where rows of 80 bytes meet in pairs in a bank: if
 * the hardware counts that, twice as much.  An SM has four units and 128 bytes a cycle: 4 x 384 / 128 = 12 cycles for 2 x 4, of
 * 64 on Ada (fp32 sums), but of 13 on Hopper by mma.sync; there rectangles of 4 x 4 should win (tiles 3 and 10: 8 of 13).
 * L2: 128 x 128 asks for 1 byte per 64 FLOP, 1.9 TB/s at a 7900 XTX's 123 TFLOP/s; 128 x 160 for 1 per 71.
 * Blocks: a block of 32 k is 32 products of 4 x 4 fragments in a subgroup (1024 cycles on RDNA3) between barriers; loads of the
 * next are under way all that time, against some 500 cycles to memory. */
#include "ops/launch.h"
#include "ops/matmul.h"
#include "ops/matmul_workgroup.h"
#include "ops/ops.h"

#include <stdio.h>
#include <string.h>

enum {
    FLAG_NORM = 1,
    FLAG_SILU_IN = 2,
    FLAG_SAMPLE_BIAS = 4,
    FLAG_ADD = 8,
    FLAG_OUT_F32 = 16,
    FLAG_ADD_F32 = 32,
    FLAG_NORM_ODD = 64,
    FLAG_STATS = 128,
    FLAG_SPLIT = 256,
    FLAG_X_F32 = 512,
    FLAG_FRAME_BIAS = 1024
};

enum { PANEL = 32, MOST_SPLITS = VKA_MATMUL_SPLITS, SPLIT_UNIT = 64, STATS_ROWS = 64, SHORTEST_K = 64 };

/* As the block Args in shaders/matmul_khr.comp. */
struct matrix_args {
    struct vka_matmul_args common;
    uint32_t panels;
    uint32_t stats_stride, stats_pitch;
    uint32_t splits, split_c;
    uint32_t split_segment[MOST_SPLITS + 1], split_k[MOST_SPLITS + 1];
};
_Static_assert(sizeof(struct matrix_args) == 55 * 4, "as in shaders/matmul_khr.comp");

struct matrix_push {
    uint64_t x, x2, x3, weight, bias, result, add, sample_bias, norm, stats, args;
    uint32_t rows, tiles_m, tiles_n, band;
};
_Static_assert(sizeof(struct matrix_push) == 104, "as in shaders/matmul_khr.comp");

/* As the push block of shaders/matmul_sum.comp. */
struct sum_push {
    uint64_t partials, bias, result, add, sample_bias, args;
    uint32_t vectors, splits, count, stats_stride;
    uint64_t stats;
};
_Static_assert(sizeof(struct sum_push) == 72, "as in shaders/matmul_sum.comp");

/* ---- tiles ------------------------------------------------------------------------------------------- */

/* Numbers are for ever: tuning files name them.  `rolled`: half the code; 20 to 25 are for software devices. */
/* clang-format off */
static const struct matrix_tile {
    uint16_t id, subgroups, across, rows, columns, depth;
    uint8_t stages, rolled;
} tiles[] = {
    {1, 8, 2, 128, 160, 32, 2, 0},     {2, 8, 2, 128, 128, 32, 2, 0},     {3, 4, 2, 128, 128, 32, 1, 0},
    {4, 8, 2, 128, 160, 32, 1, 0},     {5, 4, 2, 64, 160, 32, 2, 0},      {6, 4, 2, 64, 128, 32, 2, 0},
    {7, 4, 1, 128, 64, 32, 2, 0},      {8, 4, 2, 64, 64, 32, 2, 0},       {9, 4, 1, 128, 32, 32, 2, 0},
    {10, 8, 2, 256, 128, 32, 1, 0},    {11, 4, 2, 128, 160, 32, 1, 0},    {12, 16, 4, 128, 128, 32, 2, 0},
    {13, 8, 2, 128, 128, 64, 1, 0},    {14, 4, 2, 64, 64, 64, 2, 0},      {15, 2, 1, 64, 32, 32, 2, 0},
    {16, 1, 1, 32, 32, 32, 2, 0},      {17, 8, 2, 256, 128, 32, 2, 0},    {18, 8, 2, 128, 128, 32, 1, 0},
    {19, 16, 4, 128, 160, 32, 2, 0},   {20, 1, 1, 16, 32, 16, 1, 1},      {21, 1, 1, 8, 32, 8, 1, 1},
    {22, 2, 2, 16, 64, 16, 2, 1},      {23, 4, 2, 32, 64, 32, 2, 1},      {24, 4, 1, 64, 32, 8, 1, 1},
    {25, 4, 1, 64, 32, 16, 1, 1},      {26, 16, 4, 128, 128, 16, 2, 0},   {27, 8, 2, 64, 64, 32, 2, 0},
    {28, 32, 4, 128, 128, 32, 2, 0},   {29, 16, 4, 64, 64, 32, 2, 0},    {30, 8, 2, 64, 64, 16, 1, 0},
};
/* clang-format on */
enum { TILES = sizeof tiles / sizeof *tiles };

enum vendor { AMD = 0x1002, NVIDIA = 0x10de, INTEL = 0x8086 };

/* Which tiles a vendor's devices try first, in order, for frames of many and of few rows: of those whose width leaves the
 * fewest columns idle the first is taken.
 *
 * AMD: rectangles of 4 x 4 fragments read least from shared memory, and one stage lets six subgroups share a SIMD, so
 * that one loads while others multiply; 160 columns fit the widths of SD1.5 (multiples of 320) that 128 does not, there 8
 * subgroups of 2 x 5.  NVIDIA: registers for 4 x 4 leave only two small workgroups an SM, 8 subgroups of
 * 2 x 4 or 2 x 5 with two stages stay within 48 KiB.  Intel: 128 registers of a subgroup of 16 hold 32 of sums, 2 x 2
 * fragments of 8 x 16, so many small subgroups.  Others (software devices): least shared memory and code.
 * Frames of 64 rows: half the rows, twice the workgroups. */
/* clang-format off */
static const struct preference {
    uint32_t vendor; /* 0: any */
    bool few_rows;
    uint8_t ids[5]; /* 0 behind the last */
} preferences[] = {
    {AMD,    false, {3, 4, 7, 9}}, {AMD,    true, {6, 8, 15}},
    {NVIDIA, false, {2, 1, 7, 9}}, {NVIDIA, true, {6, 5, 8, 15}},
    {INTEL,  false, {28, 27, 29}}, {INTEL,  true, {27, 29}},
    {0,      false, {21, 20}},     {0,      true, {21, 20}},
};
/* clang-format on */

enum { FEW_ROWS = 64 };

static uint32_t stage_vectors(const struct matrix_tile *m, const struct vka_kernel_table *t)
{
    uint32_t skew = t->vendor == INTEL ? 0 : 8;
    return m->stages * (uint32_t)(m->rows + m->columns) * ((m->depth + skew) / 8);
}

/* Rows that leave through shared memory together: as many as the stages have room for. */
static uint32_t slab_rows(const struct matrix_tile *m, const struct vka_kernel_table *t)
{
    uint32_t slab = 64, across = (uint32_t)m->columns / 4 + 1;
    while (m->rows % slab || (slab > 16 && slab * across > stage_vectors(m, t)))
        slab /= 2;
    return slab;
}

static uint32_t shared_bytes(const struct matrix_tile *m, const struct vka_kernel_table *t)
{
    return 16 * vka_max_u32(stage_vectors(m, t), slab_rows(m, t) * ((uint32_t)m->columns / 4 + 1));
}

/* Sums in an invocation that a vendor's registers hold beside everything else, by what its compilers spill (tests/rigs/
 * drivers): Intel's 128 registers take 32, or 64 with half the depth, RDNA3's 256 take 128. */
static uint32_t most_sums(const struct vka_kernel_table *t, uint32_t depth)
{
    return t->vendor == INTEL    ? (depth <= 16 ? 64 : 32)
           : t->vendor == AMD    ? 128
           : t->vendor == NVIDIA ? 160
                                 : UINT32_MAX;
}

static bool fits(const struct matrix_tile *m, const struct vka_kernel_table *t)
{
    uint32_t high = (uint32_t)(m->rows / (m->subgroups / m->across)), wide = (uint32_t)(m->columns / m->across);
    return m->subgroups * t->subgroup_size <= t->max_invocations && high % t->matrix.m == 0 &&
           wide % t->matrix.n == 0 && m->depth % t->matrix.k == 0 &&
           high * wide / t->subgroup_size <= most_sums(t, m->depth) && shared_bytes(m, t) <= t->shared_bytes;
}

static struct vka_matmul_tile tile_of(const struct matrix_tile *m, const struct vka_kernel_table *t)
{
    return (struct vka_matmul_tile){.threads = (uint16_t)(m->subgroups * t->subgroup_size),
                                    .across = m->across,
                                    .rows = m->rows,
                                    .columns = m->columns,
                                    .depth = m->depth,
                                    .stages = m->stages,
                                    .id = m->id};
}

static const struct matrix_tile *numbered(uint32_t id)
{
    for (uint32_t i = 0; i < TILES; i++)
        if (tiles[i].id == id)
            return &tiles[i];
    return NULL;
}

static const struct matrix_tile *first_that_fits(const struct vka_kernel_table *t)
{
    for (uint32_t i = 0; i < TILES; i++)
        if (fits(&tiles[i], t))
            return &tiles[i];
    return NULL;
}

bool vka_matmul_on_matrix(const struct vka_kernel_table *t, const struct vka_matmul_shape *s)
{
    if (t->path == VKA_PATH_NV2)
        return vka_matmul_on_workgroup(t, s);
    return t->path == VKA_PATH_KHR && t->matrix.m && vka_shader_built(VKA_SHADER_MATMUL_KHR) && s->clip &&
           s->x == VKA_F16 && s->storage == VKA_F16 && s->weight == VKA_F16 && s->k >= SHORTEST_K && first_that_fits(t);
}

uint32_t vka_matmul_class(const struct vka_matmul_shape *s)
{
    uint32_t pixels = 0;
    while (pixels < 31 && (uint32_t)1 << pixels < s->pixels)
        pixels++;
    return (uint32_t)s->conv << 31 | (uint32_t)s->geglu << 30 | pixels << 25 |
           vka_min_u32(vka_div_up(s->n, 32), 4095) << 13 | vka_min_u32(vka_div_up(s->k, 8), 8191);
}

uint32_t vka_matmul_splits(const struct vka_kernel_table *t, const struct vka_matmul_shape *s)
{
    if (!vka_matmul_on_matrix(t, s) || s->pixels > 64 || s->k < 2560 || (s->geglu && t->path == VKA_PATH_NV2))
        return 1;
    return vka_min_u32(MOST_SPLITS, vka_max_u32(2, s->k / 2560));
}

/* What the table's tuner chose, else the vendor's preference. */
static const struct matrix_tile *default_tile(const struct vka_kernel_table *t, const struct vka_matmul_shape *s)
{
    uint32_t class = vka_matmul_class(s), least = UINT32_MAX;
    const struct matrix_tile *best = NULL;
    for (uint32_t i = 0; i < t->tuned_count && i < VKA_TUNED; i++) {
        const struct matrix_tile *m = t->tuned[i].shape_class == class ? numbered(t->tuned[i].tile) : NULL;
        if (m && fits(m, t))
            return m;
    }
    for (uint32_t i = 0; i < sizeof preferences / sizeof *preferences && !best; i++) {
        const struct preference *p = &preferences[i];
        if ((p->vendor && p->vendor != t->vendor) || p->few_rows != (s->pixels <= FEW_ROWS))
            continue;
        for (uint32_t k = 0; k < sizeof p->ids && p->ids[k]; k++) {
            const struct matrix_tile *m = numbered(p->ids[k]);
            uint32_t columns = vka_div_up(s->n, m->columns) * m->columns;
            if (fits(m, t) && (uint64_t)columns * 16 < (uint64_t)least * 15) { /* a sixteenth is worth a later tile */
                least = columns;
                best = m;
            }
        }
    }
    return best ? best : first_that_fits(t);
}

bool vka_matmul_statistics_tile(const struct vka_kernel_table *t, struct vka_matmul_tile *tile)
{
    if (!tile->id || tile->id >= VKA_TILE_WORKGROUP)
        return false;
    if (tile->rows % STATS_ROWS == 0)
        return true;
    const struct matrix_tile *best = NULL;
    for (uint32_t i = 0; i < TILES; i++) {
        const struct matrix_tile *m = &tiles[i];
        if (m->rows % STATS_ROWS == 0 && fits(m, t) &&
            (!best || m->rows * m->columns * m->depth < best->rows * best->columns * best->depth))
            best = m;
    }
    if (best)
        *tile = tile_of(best, t);
    return best != NULL;
}

uint32_t vka_matmul_tiles(const struct vka_kernel_table *t, const struct vka_matmul_shape *s,
                          struct vka_matmul_tile *out, uint32_t most)
{
    if (t->path == VKA_PATH_NV2)
        return vka_matmul_workgroup_tiles(t, s, out, most);
    const struct matrix_tile *first = vka_matmul_on_matrix(t, s) ? default_tile(t, s) : NULL;
    uint32_t count = 0;
    if (!first)
        return 0;
    if (count++ < most)
        out[0] = tile_of(first, t);
    for (uint32_t i = 0; i < TILES; i++)
        if (&tiles[i] != first && fits(&tiles[i], t)) {
            if (count < most)
                out[count] = tile_of(&tiles[i], t);
            count++;
        }
    return count;
}

/* ---- records ----------------------------------------------------------------------------------------- */

/* K in units of SPLIT_UNIT from the beginning of each segment: split i begins at unit total * i / splits. */
void vka_matmul_place_splits(const struct vka_matmul_args *c, uint32_t splits, uint32_t *split_segment,
                             uint32_t *split_k)
{
    uint32_t units[16], total = 0;
    for (uint32_t i = 0; i < c->segments; i++) {
        uint32_t pitch = i < c->taps ? c->x_pitch : i == c->taps ? c->x2_pitch : c->x3_pitch;
        total += units[i] = vka_div_up(pitch, SPLIT_UNIT);
    }
    for (uint32_t i = 0; i <= splits; i++) {
        uint32_t at = total * i / splits, segment = 0;
        while (segment < c->segments && at >= units[segment])
            at -= units[segment++];
        split_segment[i] = segment;
        split_k[i] = at * SPLIT_UNIT;
    }
}

void vka_matmul_record_matrix(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    const struct vka_matmul_tile *tile = &p->tile;
    if (tile->id >= VKA_TILE_WORKGROUP) {
        vka_matmul_record_workgroup(node, r);
        return;
    }
    const struct matrix_tile *m = numbered(tile->id);
    const struct vka_view *x = &r->in[VKA_MATMUL_X], *add = &r->in[VKA_MATMUL_ADD], *out = &r->out[0];
    bool split = p->splits > 1, stats = node->outputs > 1;
    struct matrix_args a = {.panels = p->n_packed / PANEL};
    vka_matmul_fill(node, r, &a.common);
    if (split) {
        vka_matmul_place_splits(&a.common, p->splits, a.split_segment, a.split_k);
        a.splits = p->splits;
        a.split_c = out->pitch / p->splits;
    }
    if (stats) {
        a.stats_stride = r->out[1].sample_stride;
        a.stats_pitch = r->out[1].pitch;
    }
    uint32_t columns = split ? a.split_c : p->act == VKA_ACT_GEGLU ? 2 * out->pitch : out->pitch;
    uint32_t rows = out->n * out->pixels;
    struct matrix_push push = {
        .x = x->address,
        .x2 = r->in[VKA_MATMUL_X2].address,
        .x3 = r->in[VKA_MATMUL_X3].address,
        .weight = r->in[VKA_MATMUL_WEIGHT].address,
        .bias = r->in[VKA_MATMUL_BIAS].address,
        .result = out->address,
        .add = add->address,
        .sample_bias = vka_matmul_sample_bias(node, r),
        .norm = r->in[VKA_MATMUL_NORM].address,
        .stats = stats ? r->out[1].address : 0,
        .args = r->args(r, &a, sizeof a),
        .rows = rows,
        .tiles_m = vka_div_up(rows, tile->rows),
        .tiles_n = vka_div_up(columns, tile->columns),
    };
    /* The tiles that run at once should be about square: with few columns a row of tiles after the other, with many 2048
     * rows side by side. */
    push.band = push.tiles_n <= 8 ? 1 : vka_max_u32(1, 2048u / tile->rows);
    uint32_t flags = (node->in[VKA_MATMUL_NORM].id ? FLAG_NORM : 0) |
                     (node->in[VKA_MATMUL_NORM].id && node->in[VKA_MATMUL_X2].id && p->c1 % 4 ? FLAG_NORM_ODD : 0) |
                     (p->act_in == VKA_ACT_SILU ? FLAG_SILU_IN : 0) | (x->dtype == VKA_F32 ? FLAG_X_F32 : 0) |
                     (node->in[VKA_MATMUL_SAMPLE_BIAS].id ? FLAG_SAMPLE_BIAS : 0) |
                     (node->in[VKA_MATMUL_SAMPLE_BIAS].id && p->frame_bias ? FLAG_FRAME_BIAS : 0) |
                     (node->in[VKA_MATMUL_ADD].id ? FLAG_ADD : 0) |
                     (node->in[VKA_MATMUL_ADD].id && add->dtype == VKA_F32 ? FLAG_ADD_F32 : 0) |
                     (out->dtype == VKA_F32 && !split ? FLAG_OUT_F32 : 0) | (stats ? FLAG_STATS : 0) |
                     (split ? FLAG_SPLIT : 0);
    const uint32_t constants[] = {tile->threads,
                                  r->table->subgroup_size,
                                  r->table->matrix.m,
                                  r->table->matrix.n,
                                  r->table->matrix.k,
                                  tile->rows,
                                  tile->columns,
                                  tile->depth,
                                  tile->across,
                                  r->table->vendor == INTEL ? 0 : 8,
                                  slab_rows(m, r->table),
                                  tile->stages,
                                  m->rolled,
                                  p->kernel != 0,
                                  flags,
                                  p->act};
    vka_launch_pinned(r, VKA_SHADER_MATMUL_KHR, r->table->subgroup_size, constants,
                      sizeof constants / sizeof *constants, &push, sizeof push,
                      (uint64_t)push.tiles_m * push.tiles_n * (split ? p->splits : 1), 1);
}

/* ---- split sums ---------------------------------------------------------------------------------------- */

int32_t vka_matmul_split(vka_build *b, const struct vka_op *op, vka_scope at, const vka_tensor in[VKA_MATMUL_INPUTS],
                         vka_tensor out, const struct vka_matmul_params *p)
{
    const struct vka_tensor_info o = *vka_info(b->graph, out);
    uint32_t columns = p->act == VKA_ACT_GEGLU ? 2 * o.pitch : o.pitch;
    vka_tensor partials = vka_graph_tensor(b, vka_in(at, "partials").path, o.domain, VKA_TEMP, VKA_F32, o.n, o.h, o.w,
                                           p->splits * columns);
    vka_tensor product[VKA_MATMUL_INPUTS] = {[VKA_MATMUL_X] = in[VKA_MATMUL_X],
                                             [VKA_MATMUL_X2] = in[VKA_MATMUL_X2],
                                             [VKA_MATMUL_X3] = in[VKA_MATMUL_X3],
                                             [VKA_MATMUL_NORM] = in[VKA_MATMUL_NORM],
                                             [VKA_MATMUL_WEIGHT] = in[VKA_MATMUL_WEIGHT]};
    vka_tensor sum[VKA_MATMUL_INPUTS] = {[VKA_MATMUL_X] = partials,
                                         [VKA_MATMUL_BIAS] = in[VKA_MATMUL_BIAS],
                                         [VKA_MATMUL_SAMPLE_BIAS] = in[VKA_MATMUL_SAMPLE_BIAS],
                                         [VKA_MATMUL_ADD] = in[VKA_MATMUL_ADD]};
    struct vka_matmul_params raw = *p;
    raw.act = VKA_ACT_NONE;
    raw.frame_bias = false;
    vka_graph_node(b, op, at, product, VKA_MATMUL_INPUTS, &partials, 1, &raw, sizeof raw);
    return vka_graph_node(b, &vka_op_matmul_sum, at, sum, VKA_MATMUL_INPUTS, &out, 1, p, sizeof *p);
}

static void sum_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = vka_elements(vka_info(g, node->in[VKA_MATMUL_X]));
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t sum_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void sum_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    const struct vka_view *add = &r->in[VKA_MATMUL_ADD], *out = &r->out[0];
    struct vka_matmul_args a;
    vka_matmul_fill(node, r, &a);
    uint32_t vectors = a.x_pitch / p->splits / 8;
    struct sum_push push = {.partials = r->in[VKA_MATMUL_X].address,
                            .bias = r->in[VKA_MATMUL_BIAS].address,
                            .result = out->address,
                            .add = add->address,
                            .sample_bias = vka_matmul_sample_bias(node, r),
                            .args = r->args(r, &a, sizeof a),
                            .vectors = vectors,
                            .splits = p->splits,
                            .count = out->n * out->pixels * vectors,
                            .stats_stride = r->out[1].sample_stride,
                            .stats = r->out[1].address};
    bool stats = node->outputs > 1;
    uint32_t flags = (node->in[VKA_MATMUL_SAMPLE_BIAS].id ? FLAG_SAMPLE_BIAS : 0) |
                     (node->in[VKA_MATMUL_SAMPLE_BIAS].id && p->frame_bias ? FLAG_FRAME_BIAS : 0) |
                     (node->in[VKA_MATMUL_ADD].id ? FLAG_ADD : 0) |
                     (node->in[VKA_MATMUL_ADD].id && add->dtype == VKA_F32 ? FLAG_ADD_F32 : 0) |
                     (out->dtype == VKA_F32 ? FLAG_OUT_F32 : 0) | (stats ? FLAG_STATS : 0);
    /* with statistics: 16 columns of 64 rows in a workgroup */
    const uint32_t constants[] = {stats ? 128 : vka_elementwise_lanes(r->table), flags, p->act};
    uint64_t groups = stats ? (uint64_t)out->n * out->pixels / STATS_ROWS * vka_div_up(vectors, 2)
                            : vka_div_up(push.count, constants[0]);
    vka_launch(r, VKA_SHADER_MATMUL_SUM, constants, 3, &push, sizeof push, groups, 1);
}

const struct vka_op vka_op_matmul_sum = {"sum", sum_cost, sum_axes, sum_record, NULL};
