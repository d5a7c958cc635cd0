/* matmul.c - linear layers and convolutions: shapes, weights, cost, and launches of shaders/matmul.comp.
 *
 * Inputs of a node: x, x2, weight, bias, norm, sample_bias, add.  One output.  The tile is chosen when the node is
 * built, since the packed weights have its width, from the kernel table and the shape of one frame alone. */
#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/pack.h"

#include <stdio.h>
#include <string.h>

enum matmul_input { IN_X, IN_X2, IN_WEIGHT, IN_BIAS, IN_NORM, IN_SAMPLE_BIAS, IN_ADD, INPUTS };

enum {
    FLAG_NORM = 1,
    FLAG_SILU_IN = 2,
    FLAG_SAMPLE_BIAS = 4,
    FLAG_ADD = 8,
    FLAG_X_F32 = 16,
    FLAG_OUT_F32 = 32,
    FLAG_ADD_F32 = 64,
    FLAG_W_F16 = 128,
    FLAG_NORM_ODD = 256
};

/* A workgroup of `threads` makes (threads / across * rows) x (across * columns) outputs, `depth` of K at a time. */
struct tile {
    uint16_t threads, across, rows, columns, depth;
    bool shuffled;
};

struct matmul_params {
    struct tile tile;
    uint32_t k, k_packed; /* of the model; of the packed weight */
    uint32_t n, n_packed;
    uint32_t c1; /* channels of x */
    uint32_t act, act_in;
    uint32_t kernel; /* 0: linear */
    uint32_t stride, pad_top, pad_left, up_h, up_w;
};
_Static_assert(sizeof(struct matmul_params) <= VKA_NODE_PARAMS, "a node's parameters");

/* As the block Args in shaders/matmul.comp. */
struct matmul_args {
    uint32_t pixels, pixels_magic, pixels_shift;
    uint32_t x_stride, x_pitch, x2_stride, x2_pitch;
    uint32_t result_stride, result_pitch, result_c;
    uint32_t add_stride, add_pitch;
    uint32_t sample_bias_stride;
    uint32_t norm_stride, norm_pitch, norm_second;
    uint32_t segments, k_packed;
    uint32_t kernel, stride, pad_top, pad_left;
    uint32_t out_w, out_w_magic, out_w_shift;
    uint32_t in_h, in_w, up_h, up_w;
    uint32_t up_h_magic, up_h_shift, up_w_magic, up_w_shift;
};
_Static_assert(sizeof(struct matmul_args) == 33 * 4, "as in shaders/matmul.comp");

struct matmul_push {
    uint64_t x, x2, weight, bias, result, add, sample_bias, norm, args;
    uint32_t rows, tiles_n, tiles, unused;
};
_Static_assert(sizeof(struct matmul_push) == 88, "as in shaders/matmul.comp");

/* n / d by multiplication for n < 2^31, d > 0 (Granlund and Montgomery, 1994). */
static void magic(uint32_t d, uint32_t *multiplier, uint32_t *shift)
{
    uint32_t s = 0;
    while (((uint64_t)1 << s) < d)
        s++;
    uint64_t one = (uint64_t)1 << (31 + s);
    *multiplier = (uint32_t)((one + d - 1) / d);
    *shift = s;
}

static const struct matmul_params *params(const struct vka_node *node)
{
    return (const struct matmul_params *)(const void *)node->params;
}

/* `half`: fp16 may be among the types; `pixels`: rows of one frame; `rows`: of the whole tensor when it is never cut,
 * else 0.
 *
 * On a software device a lane's 4 columns times 32 rows pay for the loads, which cost far more than sums held in the
 * first level cache; 64 rows or 8 columns gain a tenth but double the compile time. `depth` is as many k as one load
 * brings. */
static struct tile choose_tile(const struct vka_kernel_table *t, bool half, bool conv, uint32_t pixels, uint32_t rows,
                               uint32_t n)
{
    if (t->cpu) {
        uint16_t lanes = (uint16_t)t->subgroup_size, few = lanes < 8 ? 8 : lanes;
        uint16_t down = rows && rows <= few ? few : 32, depth = t->wide_loads && half ? 4 : 2;
        return (struct tile){lanes, lanes, down, 4, depth, true};
    }
    uint16_t threads = t->max_invocations >= 256 ? 256 : 128;
    if (threads == 256 && pixels >= 1024 && n >= 128 && t->few_registers && !conv) /* a convolution's places take more */
        return (struct tile){threads, 16, 4, 8, 16, false};
    if (threads == 256 && pixels >= 1024 && n >= 128 && !t->few_registers && t->shared_bytes >= 20480)
        return (struct tile){threads, 16, 8, 8, 16, false};
    return (struct tile){threads, 16, 4, 4, 16, false};
}

/* ---- the operator --------------------------------------------------------------------------------- */

static void matmul_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct vka_tensor_info *out = vka_info(g, node->out[0]);
    cost->flop = 2.0 * out->n * out->h * out->w * (double)params(node)->n * params(node)->k;
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t linear_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static uint32_t conv_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE);
}

static void matmul_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct matmul_params *p = params(node);
    const struct vka_view *x = &r->in[IN_X], *x2 = &r->in[IN_X2], *out = &r->out[0], *add = &r->in[IN_ADD];
    const struct vka_view *bias = &r->in[IN_SAMPLE_BIAS], *norm = &r->in[IN_NORM];
    struct matmul_args a = {
        .pixels = out->pixels,
        .x_stride = x->sample_stride,
        .x_pitch = x->pitch,
        .x2_stride = x2->sample_stride,
        .x2_pitch = x2->pitch,
        .result_stride = out->sample_stride,
        .result_pitch = out->pitch,
        .result_c = out->c,
        .add_stride = add->sample_stride,
        .add_pitch = add->pitch,
        .sample_bias_stride = bias->n > 1 ? bias->sample_stride : 0,
        .norm_stride = norm->n > 1 ? norm->sample_stride : 0,
        .norm_pitch = norm->c / 2,
        .norm_second = p->c1,
        .segments = p->kernel            ? p->kernel * p->kernel
                    : node->in[IN_X2].id ? 2
                                         : 1,
        .k_packed = p->k_packed,
        .kernel = p->kernel,
        .stride = p->stride,
        .pad_top = p->pad_top,
        .pad_left = p->pad_left,
        .out_w = out->w,
        .in_h = x->h,
        .in_w = x->w,
        .up_h = p->up_h,
        .up_w = p->up_w,
    };
    magic(a.pixels, &a.pixels_magic, &a.pixels_shift);
    if (p->kernel) {
        magic(a.out_w, &a.out_w_magic, &a.out_w_shift);
        magic(a.up_h, &a.up_h_magic, &a.up_h_shift);
        magic(a.up_w, &a.up_w_magic, &a.up_w_shift);
    }
    const struct tile *t = &p->tile;
    uint32_t rows = out->n * out->pixels, bm = (uint32_t)(t->threads / t->across * t->rows);
    uint32_t bn = (uint32_t)(t->across * t->columns);
    uint32_t columns = p->act == VKA_ACT_GEGLU ? 2 * out->pitch : out->pitch; /* pads of the output are written too */
    uint32_t tiles_n = vka_div_up(columns, bn);
    uint64_t tiles = (uint64_t)vka_div_up(rows, bm) * tiles_n;
    struct matmul_push push = {.x = x->address,
                               .x2 = node->in[IN_X2].id ? x2->address : x->address,
                               .weight = r->in[IN_WEIGHT].address,
                               .bias = r->in[IN_BIAS].address,
                               .result = out->address,
                               .add = add->address,
                               .sample_bias = bias->address,
                               .norm = norm->address,
                               .args = r->args(r, &a, sizeof a),
                               .rows = rows,
                               .tiles_n = tiles_n,
                               .tiles = (uint32_t)tiles};
    uint32_t flags = (node->in[IN_NORM].id ? FLAG_NORM | (node->in[IN_X2].id && p->c1 % 2 ? FLAG_NORM_ODD : 0) : 0) |
                     (p->act_in == VKA_ACT_SILU ? FLAG_SILU_IN : 0) |
                     (node->in[IN_SAMPLE_BIAS].id ? FLAG_SAMPLE_BIAS : 0) | (node->in[IN_ADD].id ? FLAG_ADD : 0) |
                     (r->in[IN_WEIGHT].dtype == VKA_F16 ? FLAG_W_F16 : 0);
    bool f16 = x->dtype == VKA_F16 || out->dtype == VKA_F16 || (node->in[IN_ADD].id && add->dtype == VKA_F16);
    if (f16) /* with fp32 storage there is only one type */
        flags |= (x->dtype == VKA_F32 ? FLAG_X_F32 : 0) | (out->dtype == VKA_F32 ? FLAG_OUT_F32 : 0) |
                 (node->in[IN_ADD].id && add->dtype == VKA_F32 ? FLAG_ADD_F32 : 0);
    const uint32_t constants[] = {t->threads, t->across, t->rows, t->columns, t->depth, p->kernel != 0, flags, p->act};
    enum vka_dtype storage = f16 ? VKA_F16 : VKA_F32;
    uint32_t shader = t->shuffled ? VKA_WIDE_VARIANT(r->table, storage, VKA_SHADER_MATMUL_SHUFFLED)
                                  : vka_variant(storage, VKA_SHADER_MATMUL_F32, VKA_SHADER_MATMUL_F16);
    vka_launch_pinned(r, shader, t->shuffled ? r->table->subgroup_size : 0, constants,
                      sizeof constants / sizeof *constants, &push, sizeof push, tiles, 1);
}

static const struct vka_op vka_op_linear = {"linear", matmul_cost, linear_axes, matmul_record};
static const struct vka_op vka_op_conv = {"conv", matmul_cost, conv_axes, matmul_record};

/* ---- building ------------------------------------------------------------------------------------ */

static const vka_tensor none;

/* Compares the shape of a weight with what the network needs; an expected dimension of 0 is free.  Trailing dimensions
 * of size 1 may be there or not. */
static bool check_shape(vka_build *b, const struct vka_weight_data *w, const uint64_t *want, uint32_t rank)
{
    bool same = w->rank >= 1;
    for (uint32_t i = 0; i < 8; i++) {
        uint64_t have = i < w->rank ? w->dims[i] : 1, need = i < rank ? want[i] : 1;
        same = same && have > 0 && have <= INT32_MAX && (i < rank && need == 0 ? true : have == need);
    }
    if (same)
        return true;
    char found[160] = "", expected[160] = "";
    for (uint32_t i = 0, at = 0; i < w->rank && i < 8; i++)
        at +=
            (uint32_t)snprintf(found + at, sizeof found - at, "%s%llu", i ? ", " : "", (unsigned long long)w->dims[i]);
    for (uint32_t i = 0, at = 0; i < rank; i++)
        at += (uint32_t)(want[i] ? snprintf(expected + at, sizeof expected - at, "%s%llu", i ? ", " : "",
                                            (unsigned long long)want[i])
                                 : snprintf(expected + at, sizeof expected - at, "%sN", i ? ", " : ""));
    vka_build_fail(b, VKA_E_INPUT, "the tensor '%s' has the shape [%s], but the network needs [%s]", w->name, found,
                   expected);
    return false;
}

/* The weight and the bias as packed tensors.  Sources are in `weights`; m needs everything but the packed sizes.
 * `k_rows` is the sum of the segments' lengths, `k_last` the length of the last. */
static bool add_weights(vka_build *b, vka_scope at, const struct vka_weight_data *weights,
                        const struct vka_weight_data *biases, uint32_t sources, struct vka_pack_matrix *m,
                        uint32_t k_rows, uint32_t k_last, uint32_t out_pitch, const struct tile *t,
                        vka_tensor in[INPUTS])
{
    m->panel = (uint32_t)(t->across * t->columns);
    m->n_packed = (uint32_t)vka_round_up(m->geglu ? 2 * out_pitch : out_pitch, m->panel);
    /* the last step of the last segment may reach beyond it: those rows are zero */
    m->k_packed = k_rows - k_last + (uint32_t)vka_round_up(k_last, t->depth);
    struct vka_weight_recipe recipe = {.kind = VKA_PACK_MATRIX, .sources = sources, .from = &b->source};
    _Static_assert(sizeof *m <= sizeof recipe.p, "a recipe's parameters");
    memcpy(recipe.source, weights, sources * sizeof *weights);
    memcpy(recipe.p, m, sizeof *m);
    in[IN_WEIGHT] = vka_graph_weight(b, vka_in(at, "weight").path, b->weights, 1, m->n_packed / m->panel, m->k_packed,
                                     m->panel, &recipe);
    recipe.kind = VKA_PACK_BIAS;
    recipe.sources = 0;
    for (uint32_t i = 0; i < sources; i++)
        if (m->present >> i & 1)
            recipe.source[recipe.sources++] = biases[i];
    in[IN_BIAS] = vka_graph_weight(b, vka_in(at, "bias").path, VKA_F32, 1, 1, 1, m->n_packed, &recipe);
    return b->err.status == VKA_OK;
}

/* A bias or an added tensor has the shape of the output (sample_bias: of one pixel of it). */
static bool check_operands(vka_build *b, vka_scope at, const struct vka_tensor_info *out, uint32_t n,
                           vka_tensor sample_bias, vka_tensor add)
{
    const struct vka_tensor_info *s = vka_info(b->graph, sample_bias), *a = vka_info(b->graph, add);
    if (sample_bias.id && (s->c != n || s->h * s->w != 1 || s->dtype != VKA_F32 ||
                           (s->domain == VKA_GLOBAL ? s->n != 1 && s->n != out->n : out->domain != VKA_SAMPLE) ||
                           (s->domain == VKA_GLOBAL && out->domain == VKA_SAMPLE && s->n != 1))) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: '%s' is no bias of %u channels per sample", at.path, s->name, n);
        return false;
    }
    if (add.id && (a->c != out->c || a->h != out->h || a->w != out->w || a->n != out->n || a->domain != out->domain)) {
        vka_build_fail(b, VKA_E_INPUT, "%s: adding '%s' of [%u, %u, %u, %u] to [%u, %u, %u, %u]", at.path, a->name,
                       a->n, a->h, a->w, a->c, out->n, out->h, out->w, out->c);
        return false;
    }
    return true;
}

static bool is_float(const struct vka_tensor_info *t)
{
    return t->dtype == VKA_F32 || t->dtype == VKA_F16;
}

vka_tensor vka_linear(vka_build *b, vka_tensor x, const struct vka_linear_args *a)
{
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info xi = *vka_info(b->graph, x), x2i = *vka_info(b->graph, a->x2);
    uint32_t c2 = a->x2.id ? x2i.c : 0, sources = 1 + a->stacked;
    if (!is_float(&xi) ||
        (a->x2.id &&
         (x2i.dtype != xi.dtype || x2i.h != xi.h || x2i.w != xi.w || x2i.n != xi.n || x2i.domain != xi.domain)) ||
        a->stacked > 2 || (a->act == VKA_ACT_GEGLU && (a->stacked || a->heads_out)) || (a->heads_in && a->x2.id) ||
        (a->act_in != VKA_ACT_NONE && a->act_in != VKA_ACT_SILU)) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: these inputs do not make a linear layer", a->at.path);
        return none;
    }
    const struct vka_tensor_info *norm = vka_info(b->graph, a->norm);
    if (a->norm.id && (norm->dtype != VKA_F32 || norm->c != 2 * vka_pitch(xi.c + c2) || norm->h * norm->w != 1 ||
                       (norm->domain != xi.domain && norm->n != 1))) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: '%s' is no norm of %u channels", a->at.path, norm->name, xi.c + c2);
        return none;
    }
    struct vka_weight_data weight[3], bias[3];
    struct vka_pack_matrix m = {.taps = 1,
                                .c1 = xi.c,
                                .c2 = c2,
                                .heads_in = a->heads_in,
                                .heads_out = a->heads_out,
                                .geglu = a->act == VKA_ACT_GEGLU};
    bool found = true;
    for (uint32_t i = 0; i < sources; i++) {
        vka_scope at = i ? a->stack[i - 1] : a->at;
        found = vka_find_weight(b, at, "weight", true, &weight[i]) && found;
        if (!a->no_bias && vka_find_weight(b, at, "bias", false, &bias[i]))
            m.present |= 1u << i;
    }
    if (!found)
        return none;
    if (a->heads_in) { /* x holds slots; the model's K is what they hold */
        uint64_t k = weight[0].rank >= 2 ? weight[0].dims[1] : 0;
        if (k == 0 || k > xi.c || k % a->heads_in ||
            (uint64_t)a->heads_in * vka_pitch((uint32_t)k / a->heads_in) != xi.c) {
            vka_build_fail(b, VKA_E_INPUT,
                           "the tensor '%s' takes %llu inputs, which are not the %u channels of %u heads",
                           weight[0].name, (unsigned long long)k, xi.c, a->heads_in);
            return none;
        }
        m.c1 = (uint32_t)k;
    }
    uint64_t want[2] = {0, m.c1 + m.c2};
    for (uint32_t i = 0; i < sources; i++) {
        if (!check_shape(b, &weight[i], want, 2))
            return none;
        want[0] = weight[i].dims[0];
        if ((m.present >> i & 1) && !check_shape(b, &bias[i], want, 1))
            return none;
    }
    m.rows = (uint32_t)want[0];
    if ((a->heads_out && m.rows % a->heads_out) || (m.geglu && m.rows % 2)) {
        vka_build_fail(b, VKA_E_INPUT, "the tensor '%s' has %u outputs, which do not divide into %u parts",
                       weight[0].name, m.rows, m.geglu ? 2 : a->heads_out);
        return none;
    }
    uint64_t n = m.geglu ? m.rows / 2 : (uint64_t)vka_pack_columns(&m) * sources;
    if (n > INT32_MAX / 4) {
        vka_build_fail(b, VKA_E_INPUT, "the tensor '%s' has too many outputs: %u", weight[0].name, m.rows);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, a->at.path, xi.domain, VKA_TEMP, a->out_f32 ? VKA_F32 : b->storage, xi.n, xi.h,
                                      xi.w, (uint32_t)n);
    if (!vka_build_ok(b, out) ||
        !check_operands(b, a->at, vka_info(b->graph, out), m.geglu ? m.rows : (uint32_t)n, a->sample_bias, a->add))
        return none;
    struct matmul_params p = {.k = m.c1 + m.c2, .n = m.rows * sources, .c1 = xi.c, .act = a->act, .act_in = a->act_in};
    p.tile = choose_tile(b->table, b->storage == VKA_F16 || xi.dtype == VKA_F16, false, xi.h * xi.w,
                         xi.domain == VKA_GLOBAL ? xi.n * xi.h * xi.w : 0, p.n);
    vka_tensor in[INPUTS] = {
        [IN_X] = x, [IN_X2] = a->x2, [IN_NORM] = a->norm, [IN_SAMPLE_BIAS] = a->sample_bias, [IN_ADD] = a->add};
    uint32_t k_rows = xi.pitch + (c2 ? x2i.pitch : 0);
    if (!add_weights(b, a->at, weight, bias, sources, &m, k_rows, c2 ? x2i.pitch : xi.pitch, vka_pitch((uint32_t)n),
                     &p.tile, in))
        return none;
    p.n_packed = m.n_packed;
    p.k_packed = m.k_packed;
    vka_graph_in_place(b, vka_graph_node(b, &vka_op_linear, a->at, in, INPUTS, &out, 1, &p, sizeof p), IN_ADD);
    return b->err.status == VKA_OK ? out : none;
}

vka_tensor vka_conv(vka_build *b, vka_tensor x, const struct vka_conv_args *a)
{
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info xi = *vka_info(b->graph, x);
    uint32_t h = a->upsample_h ? a->upsample_h : xi.h, w = a->upsample_w ? a->upsample_w : xi.w;
    if (!is_float(&xi) || (a->kernel != 1 && a->kernel != 3) || (a->stride != 1 && a->stride != 2) ||
        a->act == VKA_ACT_GEGLU || a->pad[0] > 8 || a->pad[1] > 8 || a->pad[2] > 8 || a->pad[3] > 8 ||
        h + a->pad[0] + a->pad[1] < a->kernel || w + a->pad[2] + a->pad[3] < a->kernel || h > 32767 || w > 32767 ||
        xi.h > 32767 || xi.w > 32767) {
        vka_build_fail(b, VKA_E_INPUT, "%s: no such convolution of a picture of %u x %u", a->at.path, xi.w, xi.h);
        return none;
    }
    uint32_t out_h = (h + a->pad[0] + a->pad[1] - a->kernel) / a->stride + 1;
    uint32_t out_w = (w + a->pad[2] + a->pad[3] - a->kernel) / a->stride + 1;
    struct vka_weight_data weight, bias = {0};
    struct vka_pack_matrix m = {.taps = a->kernel * a->kernel, .c1 = xi.c};
    if (!vka_find_weight(b, a->at, "weight", true, &weight))
        return none;
    if (vka_find_weight(b, a->at, "bias", false, &bias))
        m.present = 1;
    const uint64_t want[4] = {0, xi.c, a->kernel, a->kernel};
    if (!check_shape(b, &weight, want, 4))
        return none;
    m.rows = (uint32_t)weight.dims[0];
    const uint64_t n = m.rows;
    if (m.present && !check_shape(b, &bias, &n, 1))
        return none;
    vka_tensor out = vka_graph_tensor(b, a->at.path, xi.domain, VKA_TEMP, a->out_f32 ? VKA_F32 : b->storage, xi.n,
                                      out_h, out_w, m.rows);
    if (!vka_build_ok(b, out) || !check_operands(b, a->at, vka_info(b->graph, out), m.rows, a->sample_bias, a->add))
        return none;
    struct matmul_params p = {.k = xi.c * m.taps,
                              .n = m.rows,
                              .c1 = xi.c,
                              .act = a->act,
                              .kernel = a->kernel,
                              .stride = a->stride,
                              .pad_top = a->pad[0],
                              .pad_left = a->pad[2],
                              .up_h = h,
                              .up_w = w};
    p.tile = choose_tile(b->table, b->storage == VKA_F16 || xi.dtype == VKA_F16, true, out_h * out_w,
                         xi.domain == VKA_GLOBAL ? xi.n * out_h * out_w : 0, p.n);
    vka_tensor in[INPUTS] = {[IN_X] = x, [IN_SAMPLE_BIAS] = a->sample_bias, [IN_ADD] = a->add};
    if (!add_weights(b, a->at, &weight, &bias, 1, &m, m.taps * xi.pitch, xi.pitch, vka_pitch(m.rows), &p.tile, in))
        return none;
    p.n_packed = m.n_packed;
    p.k_packed = m.k_packed;
    vka_graph_in_place(b, vka_graph_node(b, &vka_op_conv, a->at, in, INPUTS, &out, 1, &p, sizeof p), IN_ADD);
    return b->err.status == VKA_OK ? out : none;
}

vka_tensor vka_weight_table(vka_build *b, vka_scope s, const char *name)
{
    struct vka_weight_data w;
    if (b->err.status != VKA_OK || !vka_find_weight(b, s, name, true, &w))
        return none;
    uint32_t first = 0; /* leading dimensions of size 1 */
    while (first + 1 < w.rank && w.dims[first] == 1)
        first++;
    uint64_t rows = w.rank - first >= 2 ? w.dims[first] : 1, columns = w.rank ? w.dims[w.rank - 1] : 1;
    if (w.rank - first > 2 || rows > INT32_MAX || columns > INT32_MAX || rows == 0 || columns == 0) {
        vka_build_fail(b, VKA_E_INPUT, "the tensor '%s' of rank %u is no table", w.name, w.rank);
        return none;
    }
    struct vka_weight_recipe recipe = {.kind = VKA_PACK_TABLE, .sources = 1, .source = {w}, .from = &b->source};
    return vka_graph_weight(b, vka_in(s, name).path, VKA_F32, 1, 1, (uint32_t)rows, (uint32_t)columns, &recipe);
}
