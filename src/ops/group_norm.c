/* group_norm.c - group normalisation (Wu and He, 2018) in three steps.
 *
 * statistics  x [n, h, w, c] -> f32 [n, 1, blocks, 2 pitch(c)]: for each block of rows, counted from the sample's first pixel,
 *             the mean per channel, then M2 per channel (the sum of squared distances from it).  They are made once
 *             for a tensor, however many norms read them: by the product that makes x (vka_matmul_statistics), else by a
 *             node of their own, cut by samples only.
 * finish      of x and x2 side by side -> f32 [n, 1, 1, 2 * pitch(c1 + c2)]: scales, then shifts.  Cut by samples, or
 *             with `joint` not at all: one statistic then covers all frames of a branch.
 * apply       act(x * scale + shift), cut by samples and pixels.
 *
 * The rows of a block are a function of h * w and the kernel table, and merges run in a fixed order, so that bits do not
 * depend on how a clip is cut. */
#include "ops/describe.h"
#include "ops/launch.h"
#include "ops/matmul.h"
#include "ops/ops.h"

struct group_norm_params {
    uint32_t c1, c2, groups;
    uint32_t rows;                           /* of a sample */
    uint32_t block1, blocks1, block2, blocks2; /* rows per block and blocks in the statistics of x and x2 */
    uint32_t joint;
    float eps;
};

struct norm_apply_params {
    uint32_t act;
};

enum { BLOCK_ROWS = 64, MAX_BLOCKS = 128 };

/* Rows per block: 64, doubled until 128 blocks cover the sample. */
static uint32_t block_rows(uint32_t rows)
{
    uint32_t block = BLOCK_ROWS;
    while ((uint64_t)block * MAX_BLOCKS < rows)
        block *= 2;
    return block;
}

/* ---- statistics ---------------------------------------------------------------------------------- */

static void stats_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct group_norm_params *p = (const struct group_norm_params *)(const void *)node->params;
    cost->flop = 4.0 * vka_info(g, node->in[0])->n * (double)p->rows * (p->c1 + p->c2);
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t by_samples(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE);
}

static void stats_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct group_norm_params *p = (const struct group_norm_params *)(const void *)node->params;
    const struct vka_view *x = &r->in[0], *out = &r->out[0];
    struct {
        uint64_t x, result;
        uint32_t x_stride, result_stride, quads, rows, block, blocks;
    } push = {.x = x->address,
              .result = out->address,
              .x_stride = x->sample_stride,
              .result_stride = out->sample_stride,
              .quads = x->pitch / 4,
              .rows = p->rows,
              .block = p->block1,
              .blocks = p->blocks1};
    _Static_assert(sizeof push == 40, "the push block of shaders/group_norm_stats.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    uint64_t items = (uint64_t)p->blocks1 * push.quads;
    vka_launch(r, vka_variant(x->dtype, VKA_SHADER_GROUP_NORM_STATS_F32, VKA_SHADER_GROUP_NORM_STATS_F16), &lanes, 1,
               &push, sizeof push, (items + lanes - 1) / lanes, out->n);
}

static const struct vka_op vka_op_group_norm_stats = {"group_norm_stats", stats_cost, by_samples, stats_record, NULL};

/* ---- finish -------------------------------------------------------------------------------------- */

static void finish_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct group_norm_params *p = (const struct group_norm_params *)(const void *)node->params;
    cost->flop = 10.0 * vka_info(g, node->out[0])->n * ((double)p->blocks1 * p->c1 + (double)p->blocks2 * p->c2);
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t finish_axes(const struct vka_graph *g, const struct vka_node *node)
{
    const struct group_norm_params *p = (const struct group_norm_params *)(const void *)node->params;
    return p->joint ? 0 : by_samples(g, node);
}

static void finish_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct group_norm_params *p = (const struct group_norm_params *)(const void *)node->params;
    const struct vka_view *stats = &r->in[0], *stats2 = &r->in[1], *out = &r->out[0];
    uint32_t frames = p->joint ? r->frames : 1;
    struct {
        uint64_t stats, stats2, gamma, beta, result;
        uint32_t stats_stride, stats2_stride, result_stride, c, c1, p1, p2, cg, groups, rows, block1, blocks1, block2,
            blocks2, frames, units, result_pitch;
        float eps;
    } push = {.stats = stats->address,
              .stats2 = p->c2 ? stats2->address : stats->address,
              .gamma = r->in[2].address,
              .beta = r->in[3].address,
              .result = out->address,
              .stats_stride = stats->sample_stride,
              .stats2_stride = stats2->sample_stride,
              .result_stride = out->sample_stride,
              .c = p->c1 + p->c2,
              .c1 = p->c1,
              .p1 = stats->pitch / 2,
              .p2 = stats2->pitch / 2,
              .cg = (p->c1 + p->c2) / p->groups,
              .groups = p->groups,
              .rows = p->rows,
              .block1 = p->block1,
              .blocks1 = p->blocks1,
              .block2 = p->block2,
              .blocks2 = p->blocks2,
              .frames = frames,
              .units = p->groups * (out->n / frames),
              .result_pitch = out->c / 2,
              .eps = p->eps};
    _Static_assert(sizeof push == 112, "the push block of shaders/group_norm_finish.comp");
    /* On a CPU device one lane per group: few items each, and no barrier. */
    uint32_t constants[2] = {r->table->cpu ? 16 : 64, r->table->cpu ? 1 : 64};
    uint32_t units = constants[0] / constants[1];
    vka_launch(r, VKA_SHADER_GROUP_NORM_FINISH, constants, 2, &push, sizeof push, (push.units + units - 1) / units, 1);
}

static const struct vka_op vka_op_group_norm_finish = {"group_norm_finish", finish_cost, finish_axes, finish_record, NULL};

/* x and x2 can stand side by side: same clip, same size, same type. */
static bool paired(vka_build *b, vka_tensor x, vka_tensor x2, const char *at)
{
    const struct vka_tensor_info *a = vka_info(b->graph, x);
    if (a->dtype != VKA_F32 && a->dtype != VKA_F16) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: a norm needs floating point", at);
        return false;
    }
    if (!x2.id)
        return true;
    const struct vka_tensor_info *c = vka_info(b->graph, x2);
    if (a->domain == c->domain && a->n == c->n && a->h == c->h && a->w == c->w && a->dtype == c->dtype)
        return true;
    vka_build_fail(b, VKA_E_INTERNAL, "%s: %s and %s cannot be normalised side by side", at, a->name, c->name);
    return false;
}

/* The statistics of x; rows per block and blocks too. */
static vka_tensor statistics(vka_build *b, vka_tensor x, uint32_t *block, uint32_t *blocks)
{
    const struct vka_tensor_info info = *vka_info(b->graph, x);
    vka_tensor stats = {info.stats};
    uint32_t rows = info.h * info.w;
    if (!stats.id)
        stats = vka_matmul_statistics(b, x);
    if (!stats.id) {
        struct group_norm_params p = {.c1 = info.c, .rows = rows, .block1 = block_rows(rows)};
        vka_scope name = vka_in(vka_scope_root(info.name), "statistics");
        p.blocks1 = vka_div_up(rows, p.block1);
        stats = vka_graph_tensor(b, name.path, info.domain, VKA_TEMP, VKA_F32, info.n, 1, p.blocks1, 2 * info.pitch);
        vka_graph_node(b, &vka_op_group_norm_stats, name, &x, 1, &stats, 1, &p, sizeof p);
        if (vka_build_ok(b, stats))
            b->graph->tensors[stats.id].block = p.block1;
    }
    if (vka_build_ok(b, stats)) {
        b->graph->tensors[x.id].stats = stats.id;
        *block = vka_info(b->graph, stats)->block;
        *blocks = vka_info(b->graph, stats)->w;
    }
    return stats;
}

vka_tensor vka_group_norm(vka_build *b, vka_tensor x, vka_tensor x2, vka_scope at, uint32_t groups, float eps,
                          bool joint)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x) || !paired(b, x, x2, at.path))
        return none;
    const struct vka_tensor_info info = *vka_info(b->graph, x);
    uint32_t c2 = x2.id ? vka_info(b->graph, x2)->c : 0, c = info.c + c2;
    if (groups == 0 || c % groups != 0) {
        vka_build_fail(b, VKA_E_INPUT, "%s: %u channels do not divide into %u groups", at.path, c, groups);
        return none;
    }
    if (joint && info.domain != VKA_SAMPLE) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: only a clip has frames to normalise together", at.path);
        return none;
    }
    vka_tensor gamma, beta;
    if (!vka_norm_weights(b, at, c, &gamma, &beta))
        return none;
    struct group_norm_params p = {.c1 = info.c,
                                  .c2 = c2,
                                  .groups = groups,
                                  .rows = info.h * info.w,
                                  .joint = joint,
                                  .eps = eps};
    vka_tensor stats = statistics(b, x, &p.block1, &p.blocks1), stats2 = none;
    if (x2.id)
        stats2 = statistics(b, x2, &p.block2, &p.blocks2);
    vka_tensor out =
        vka_graph_tensor(b, vka_in(at, "norm").path, info.domain, VKA_TEMP, VKA_F32, info.n, 1, 1, 2 * vka_pitch(c));
    const vka_tensor in[4] = {stats, stats2, gamma, beta};
    vka_graph_node(b, &vka_op_group_norm_finish, at, in, 4, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}

/* ---- apply --------------------------------------------------------------------------------------- */

static void apply_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct norm_apply_params *p = (const struct norm_apply_params *)(const void *)node->params;
    cost->flop = vka_elements(vka_info(g, node->out[0])) * (p->act == VKA_ACT_NONE ? 2.0 : 6.0);
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t apply_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void apply_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct norm_apply_params *p = (const struct norm_apply_params *)(const void *)node->params;
    const struct vka_view *x = &r->in[0], *x2 = &r->in[1], *norm = &r->in[2], *out = &r->out[0];
    bool two = node->in[1].id != 0;
    struct {
        uint64_t x, x2, norm, result;
        uint32_t x_stride, x2_stride, norm_stride, result_stride, x_pitch, x2_pitch, result_pitch, c1, c2, rows;
    } push = {.x = x->address,
              .x2 = two ? x2->address : x->address,
              .norm = norm->address,
              .result = out->address,
              .x_stride = x->sample_stride,
              .x2_stride = two ? x2->sample_stride : 0,
              .norm_stride = norm->sample_stride,
              .result_stride = out->sample_stride,
              .x_pitch = x->pitch,
              .x2_pitch = two ? x2->pitch : 0,
              .result_pitch = out->pitch,
              .c1 = x->c,
              .c2 = two ? x2->c : 0,
              .rows = out->pixels};
    _Static_assert(sizeof push == 72, "the push block of shaders/norm_apply.comp");
    uint32_t constants[] = {vka_elementwise_lanes(r->table), r->table->cpu ? 8 : 4, p->act, two && x->c % 4 != 0};
    uint64_t items = (uint64_t)vka_div_up(out->pixels, constants[1]) * (out->pitch / 4);
    vka_launch(r, VKA_WIDE_VARIANT(r->table, x->dtype, VKA_SHADER_NORM_APPLY), constants,
               sizeof constants / sizeof *constants, &push, sizeof push, (items + constants[0] - 1) / constants[0], out->n);
}

static const struct vka_op vka_op_norm_apply = {"norm_apply", apply_cost, apply_axes, apply_record, NULL};

vka_tensor vka_norm_apply(vka_build *b, vka_tensor x, vka_tensor x2, vka_tensor norm, enum vka_act act)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x) || !norm.id || !paired(b, x, x2, vka_info(b->graph, x)->name))
        return none;
    const struct vka_tensor_info info = *vka_info(b->graph, x), scale = *vka_info(b->graph, norm);
    uint32_t c = info.c + (x2.id ? vka_info(b->graph, x2)->c : 0);
    if (scale.c != 2 * vka_pitch(c) || scale.n != info.n || scale.dtype != VKA_F32 || act == VKA_ACT_GEGLU) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: the norm does not fit %s", scale.name, info.name);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, scale.name, info.domain, VKA_TEMP, info.dtype, info.n, info.h, info.w, c);
    const vka_tensor in[3] = {x, x2, norm};
    const struct norm_apply_params p = {act};
    int32_t node = vka_graph_node(b, &vka_op_norm_apply, vka_scope_root(scale.name), in, 3, &out, 1, &p, sizeof p);
    if (!x2.id)
        vka_graph_in_place(b, node, 0);
    return b->err.status == VKA_OK ? out : none;
}

bool vka_group_norm_describe(const struct vka_node *node, struct vka_group_norm_facts *out)
{
    const struct group_norm_params *p = (const struct group_norm_params *)(const void *)node->params;
    if (node->op != &vka_op_group_norm_stats && node->op != &vka_op_group_norm_finish)
        return false;
    *out = (struct vka_group_norm_facts){.c1 = p->c1,
                                         .c2 = p->c2,
                                         .groups = p->groups,
                                         .rows = p->rows,
                                         .joint = p->joint != 0,
                                         .eps = p->eps};
    return true;
}

bool vka_norm_apply_describe(const struct vka_node *node, uint32_t *act)
{
    const struct norm_apply_params *p = (const struct norm_apply_params *)(const void *)node->params;
    if (node->op != &vka_op_norm_apply)
        return false;
    *act = p->act;
    return true;
}
