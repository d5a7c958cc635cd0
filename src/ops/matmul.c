/* matmul.c - linear layers and convolutions as nodes of a graph: shapes, weights and their packing.
 *
 * The tile is chosen when the node is built, since the packed weights have its width.  A linear layer over x + positions
 * is two nodes with one weight: the products of the positions, made once, and the layer itself. */
#include "ops/matmul.h"
#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/pack.h"

#include <stdio.h>
#include <string.h>

static const vka_tensor none;

enum { MOST_SOURCES = VKA_LINEAR_SIDES };

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
                        uint32_t k_rows, uint32_t k_last, uint32_t out_pitch, const struct vka_matmul_tile *t,
                        vka_tensor in[VKA_MATMUL_INPUTS])
{
    m->panel = vka_matmul_panel(t);
    m->group = vka_matmul_group(t);
    m->n_packed = (uint32_t)vka_round_up(m->geglu ? 2 * out_pitch : out_pitch, m->panel ? m->panel : 128);
    if (!m->panel) {
        m->panel = m->n_packed;
        m->geglu = m->geglu ? m->n_packed / 2 : 0;
    }
    /* the last step of the last segment may reach beyond it: those rows are zero */
    m->k_packed = k_rows - k_last + (uint32_t)vka_round_up(k_last, vka_matmul_depth(t));
    struct vka_weight_recipe recipe = {
        .kind = VKA_PACK_MATRIX, .sources = sources, .source = weights, .from = &b->source};
    _Static_assert(sizeof *m <= sizeof recipe.p, "a recipe's parameters");
    memcpy(recipe.p, m, sizeof *m);
    in[VKA_MATMUL_WEIGHT] = vka_graph_weight(b, vka_in(at, "weight").path, b->weights, 1, m->n_packed / m->panel, m->k_packed,
                                     m->panel, &recipe);
    struct vka_weight_data present[MOST_SOURCES];
    recipe.kind = VKA_PACK_BIAS;
    recipe.source = present;
    recipe.sources = 0;
    for (uint32_t i = 0; i < sources; i++)
        if (m->present >> i & 1)
            present[recipe.sources++] = biases[i];
    in[VKA_MATMUL_BIAS] = vka_graph_weight(b, vka_in(at, "bias").path, VKA_F32, 1, 1, 1, m->n_packed, &recipe);
    return b->err.status == VKA_OK;
}

/* A bias or an added tensor has the shape of the output (sample_bias: of one pixel of it). */
static bool check_operands(vka_build *b, vka_scope at, const struct vka_tensor_info *out, uint32_t n,
                           vka_tensor sample_bias, uint32_t bias_channel, vka_tensor add)
{
    const struct vka_tensor_info *s = vka_info(b->graph, sample_bias), *a = vka_info(b->graph, add);
    if (sample_bias.id && (bias_channel % 8 || (uint64_t)bias_channel + n > s->c || s->h * s->w != 1 || s->dtype != VKA_F32 ||
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

/* A table of positions goes with a plain linear layer of a clip. */
static bool check_positions(vka_build *b, const struct vka_linear_args *a, const struct vka_tensor_info *x)
{
    const struct vka_tensor_info *t = vka_info(b->graph, a->positions);
    if (!a->positions.id)
        return true;
    if (a->x2.id || a->norm.id || a->heads_in || a->sample_bias.id || a->act == VKA_ACT_GEGLU ||
        a->act_in != VKA_ACT_NONE || x->domain != VKA_SAMPLE) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: no place for positions in this layer", a->at.path);
        return false;
    }
    if (t->dtype != VKA_F32 || t->c != x->pitch || t->pitch != t->c || t->n * t->h != 1) {
        vka_build_fail(b, VKA_E_INPUT, "%s: the table of positions is [%u, %u], which does not fit %u channels",
                       a->at.path, t->w, t->c, x->c);
        return false;
    }
    if (t->w < (uint64_t)b->graph->frames + a->first_position) {
        vka_build_fail(b, VKA_E_USAGE, "%u frames, but the motion module's table of positions ends at %u",
                       b->graph->frames, t->w);
        return false;
    }
    return true;
}

/* The layer of the positions alone, f32 [1, 1, frames or all rows, n], without its bias: with the weight and the tile of the layer
 * that has the inputs `main` and the parameters `p`. */
static vka_tensor add_position_products(vka_build *b, const struct vka_linear_args *a, uint32_t n,
                                        const struct vka_pack_matrix *m, const vka_tensor main[VKA_MATMUL_INPUTS],
                                        const struct vka_matmul_params *p)
{
    if (a->position_products && a->position_products->id)
        return *a->position_products;
    uint32_t rows = a->position_products ? vka_info(b->graph, a->positions)->w : b->graph->frames;
    vka_tensor out = vka_graph_tensor(b, vka_in(a->at, "positions").path, VKA_GLOBAL, VKA_TEMP, VKA_F32, 1, 1, rows, n);
    vka_tensor in[VKA_MATMUL_INPUTS] = {
        [VKA_MATMUL_X] = a->positions, [VKA_MATMUL_WEIGHT] = main[VKA_MATMUL_WEIGHT], [VKA_MATMUL_BIAS] = main[VKA_MATMUL_BIAS]};
    if (m->present) { /* else that is zero already */
        struct vka_pack_matrix zero = *m;
        struct vka_weight_recipe recipe = {.kind = VKA_PACK_BIAS, .from = &b->source};
        zero.present = 0;
        memcpy(recipe.p, &zero, sizeof zero);
        in[VKA_MATMUL_BIAS] = vka_graph_weight(b, vka_in(a->at, "positions.bias").path, VKA_F32, 1, 1, 1, m->n_packed, &recipe);
    }
    struct vka_matmul_params table = *p;
    table.act = VKA_ACT_NONE;
    table.splits = 1;
    if (!table.tile.id && !table.tile.shuffled) /* positions are fp32, which has half the depth where fp16 has more */
        table.tile.depth = 16;
    table.frame_bias = false;
    vka_graph_node(b, &vka_op_linear, vka_in(a->at, "positions"), in, VKA_MATMUL_INPUTS, &out, 1, &table, sizeof table);
    if (a->position_products)
        *a->position_products = out;
    return out;
}

/* The node, or the two of a split product; `out`, or none after an error. */
static vka_tensor add_node(vka_build *b, const struct vka_op *op, vka_scope at, const vka_tensor in[VKA_MATMUL_INPUTS],
                           vka_tensor out, const struct vka_matmul_params *p)
{
    int32_t node = p->splits > 1 ? vka_matmul_split(b, op, at, in, out, p)
                                 : vka_graph_node(b, op, at, in, VKA_MATMUL_INPUTS, &out, 1, p, sizeof *p);
    vka_graph_in_place(b, node, VKA_MATMUL_ADD);
    return b->err.status == VKA_OK ? out : none;
}

static bool is_float(const struct vka_tensor_info *t)
{
    return t->dtype == VKA_F32 || t->dtype == VKA_F16;
}

vka_tensor vka_matmul_linear(vka_build *b, vka_tensor x, const struct vka_linear_args *a)
{
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info xi = *vka_info(b->graph, x), x2i = *vka_info(b->graph, a->x2);
    const bool apart = a->x2.id && a->x2_at.path[0];
    uint32_t c2 = a->x2.id ? x2i.c : 0, sources = 1 + a->stacked;
    if (!is_float(&xi) ||
        (a->x2.id &&
         (x2i.dtype != xi.dtype || x2i.h != xi.h || x2i.w != xi.w || x2i.n != xi.n || x2i.domain != xi.domain)) ||
        a->stacked > 2 || (apart && a->stacked) || (a->act == VKA_ACT_GEGLU && (a->stacked || a->heads_out)) || (a->heads_in && a->x2.id) ||
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
    if (!check_positions(b, a, &xi))
        return none;
    struct vka_weight_data weight[3], bias[3];
    struct vka_pack_matrix m = {.taps = 1,
                                .c1 = xi.c,
                                .c2 = apart ? 0 : c2,
                                .e1 = apart ? c2 : 0,
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
    if (apart)
        found = vka_find_weight(b, a->x2_at, "weight", true, &weight[1]) && found;
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
    if (apart && !check_shape(b, &weight[1], (const uint64_t[]){m.rows, m.e1}, 2))
        return none;
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
        !check_operands(b, a->at, vka_info(b->graph, out), m.geglu ? m.rows : (uint32_t)n, a->sample_bias, 0, a->add))
        return none;
    struct vka_matmul_params p = {.k = m.c1 + m.c2 + m.e1, .n = m.rows * sources, .c1 = xi.c, .taps = 1, .act = a->act, .act_in = a->act_in};
    const struct vka_matmul_shape shape = {.x = xi.dtype,
                                           .storage = b->storage,
                                           .weight = b->weights,
                                           .clip = xi.domain == VKA_SAMPLE,
                                           .geglu = m.geglu,
                                           .pixels = xi.h * xi.w,
                                           .rows = xi.domain == VKA_GLOBAL ? xi.n * xi.h * xi.w : 0,
                                           .k = p.k,
                                           .n = p.n};
    p.tile = vka_matmul_choose(b->table, &shape);
    p.splits = vka_matmul_splits(b->table, &shape);
    vka_tensor in[VKA_MATMUL_INPUTS] = {
        [VKA_MATMUL_X] = x, [VKA_MATMUL_X2] = a->x2, [VKA_MATMUL_NORM] = a->norm, [VKA_MATMUL_SAMPLE_BIAS] = a->sample_bias, [VKA_MATMUL_ADD] = a->add};
    uint32_t k_rows = xi.pitch + (c2 ? x2i.pitch : 0);
    if (!add_weights(b, a->at, weight, bias, sources + apart, &m, k_rows, c2 ? x2i.pitch : xi.pitch, vka_pitch((uint32_t)n),
                     &p.tile, in))
        return none;
    p.n_packed = m.n_packed;
    p.k_packed = m.k_packed;
    if (a->positions.id) {
        in[VKA_MATMUL_SAMPLE_BIAS] = add_position_products(b, a, (uint32_t)n, &m, in, &p);
        p.frame_bias = true;
        p.bias_row = a->first_position;
    }
    return add_node(b, &vka_op_linear, a->at, in, out, &p);
}

vka_tensor vka_linear_side_by_side(vka_build *b, vka_tensor x, const vka_scope *at, uint32_t count, enum vka_act act_in,
                                   struct vka_linear_side *sides)
{
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info xi = *vka_info(b->graph, x);
    struct vka_weight_data weight[MOST_SOURCES], bias[MOST_SOURCES];
    struct vka_pack_matrix m = {.taps = 1, .c1 = xi.c, .present = (uint32_t)(((uint64_t)1 << count) - 1)};
    uint64_t columns = 0, n = 0;
    bool found = true;
    if (!is_float(&xi) || count == 0 || count > MOST_SOURCES) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: no such %u layers side by side", at->path, count);
        return none;
    }
    for (uint32_t i = 0; i < count; i++) {
        found = vka_find_weight(b, at[i], "weight", true, &weight[i]) && found;
        found = vka_find_weight(b, at[i], "bias", true, &bias[i]) && found;
    }
    for (uint32_t i = 0; found && i < count; i++) {
        const uint64_t want[2] = {0, xi.c};
        if (!check_shape(b, &weight[i], want, 2) || !check_shape(b, &bias[i], weight[i].dims, 1))
            return none;
        sides[i] = (struct vka_linear_side){(uint32_t)columns, (uint32_t)weight[i].dims[0]};
        columns += vka_pitch(sides[i].n);
        n += sides[i].n;
    }
    if (!found || columns > INT32_MAX / 4) {
        if (found)
            vka_build_fail(b, VKA_E_INPUT, "the layers of '%s' have too many outputs", at->path);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, at->path, xi.domain, VKA_TEMP, VKA_F32, xi.n, xi.h, xi.w, (uint32_t)columns);
    struct vka_matmul_params p = {.k = xi.c, .n = (uint32_t)n, .c1 = xi.c, .taps = 1, .act_in = act_in, .splits = 1};
    const struct vka_matmul_shape shape = {.x = xi.dtype,
                                           .storage = b->storage,
                                           .weight = b->weights,
                                           .clip = xi.domain == VKA_SAMPLE,
                                           .pixels = xi.h * xi.w,
                                           .rows = xi.domain == VKA_GLOBAL ? xi.n * xi.h * xi.w : 0,
                                           .k = p.k,
                                           .n = p.n};
    p.tile = vka_matmul_choose(b->table, &shape);
    vka_tensor in[VKA_MATMUL_INPUTS] = {[VKA_MATMUL_X] = x};
    if (!vka_build_ok(b, out) ||
        !add_weights(b, at[0], weight, bias, count, &m, xi.pitch, xi.pitch, vka_pitch((uint32_t)columns), &p.tile, in))
        return none;
    p.n_packed = m.n_packed;
    p.k_packed = m.k_packed;
    return add_node(b, &vka_op_linear, at[0], in, out, &p);
}

/* Whether a shortcut can take `x` beside `other`. */
static bool same_picture(const struct vka_tensor_info *x, const struct vka_tensor_info *other)
{
    return x->dtype == other->dtype && x->domain == other->domain && x->n == other->n && x->h == other->h &&
           x->w == other->w;
}

vka_tensor vka_matmul_conv(vka_build *b, vka_tensor x, const struct vka_conv_args *a)
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
    const bool extra = a->shortcut.path[0] != 0;
    const struct vka_tensor_info x2i = *vka_info(b->graph, a->x2), x3i = *vka_info(b->graph, a->x3);
    uint32_t out_h = (h + a->pad[0] + a->pad[1] - a->kernel) / a->stride + 1;
    uint32_t out_w = (w + a->pad[2] + a->pad[3] - a->kernel) / a->stride + 1;
    if (extra && (a->kernel != 3 || a->stride != 1 || a->upsample_h || a->upsample_w || out_h != xi.h || out_w != xi.w ||
                  !same_picture(&x2i, &xi) || (a->x3.id && !same_picture(&x3i, &xi)))) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: no such convolution with a shortcut", a->at.path);
        return none;
    }
    struct vka_weight_data weight[2], bias[2];
    struct vka_pack_matrix m = {.taps = a->kernel * a->kernel, .c1 = xi.c};
    bool found = vka_find_weight(b, a->at, "weight", true, &weight[0]);
    if (extra)
        found = vka_find_weight(b, a->shortcut, "weight", true, &weight[1]) && found;
    if (!found)
        return none;
    if (vka_find_weight(b, a->at, "bias", false, &bias[0]))
        m.present = 1;
    if (extra && vka_find_weight(b, a->shortcut, "bias", false, &bias[1]))
        m.present |= 2;
    if (extra) {
        m.e1 = x2i.c;
        m.e2 = a->x3.id ? x3i.c : 0;
    }
    const uint64_t want[4] = {0, xi.c, a->kernel, a->kernel};
    if (!check_shape(b, &weight[0], want, 4))
        return none;
    m.rows = (uint32_t)weight[0].dims[0];
    const uint64_t n = m.rows, want_extra[2] = {n, m.e1 + m.e2};
    if (((m.present & 1) && !check_shape(b, &bias[0], &n, 1)) || (extra && !check_shape(b, &weight[1], want_extra, 2)) ||
        ((m.present & 2) && !check_shape(b, &bias[1], &n, 1)))
        return none;
    vka_tensor out = vka_graph_tensor(b, a->at.path, xi.domain, VKA_TEMP, a->out_f32 ? VKA_F32 : b->storage, xi.n,
                                      out_h, out_w, m.rows);
    if (!vka_build_ok(b, out) || !check_operands(b, a->at, vka_info(b->graph, out), m.rows, a->sample_bias, a->bias_channel, a->add))
        return none;
    struct vka_matmul_params p = {.k = xi.c * m.taps + m.e1 + m.e2,
                              .n = m.rows,
                              .c1 = xi.c,
                              .taps = m.taps,
                              .bias_channel = a->bias_channel,
                              .act = a->act,
                              .kernel = a->kernel,
                              .stride = a->stride,
                              .pad_top = a->pad[0],
                              .pad_left = a->pad[2],
                              .up_h = h,
                              .up_w = w};
    const struct vka_matmul_shape shape = {.x = xi.dtype,
                                           .storage = b->storage,
                                           .weight = b->weights,
                                           .clip = xi.domain == VKA_SAMPLE,
                                           .conv = true,
                                           .pixels = out_h * out_w,
                                           .rows = xi.domain == VKA_GLOBAL ? xi.n * out_h * out_w : 0,
                                           .k = p.k,
                                           .n = p.n};
    p.tile = vka_matmul_choose(b->table, &shape);
    p.splits = vka_matmul_splits(b->table, &shape);
    vka_tensor in[VKA_MATMUL_INPUTS] = {[VKA_MATMUL_X] = x,
                                        [VKA_MATMUL_SAMPLE_BIAS] = a->sample_bias,
                                        [VKA_MATMUL_ADD] = a->add};
    uint32_t k_rows = m.taps * xi.pitch, k_last = xi.pitch;
    if (extra) {
        in[VKA_MATMUL_X2] = a->x2;
        in[VKA_MATMUL_X3] = a->x3;
        k_rows += x2i.pitch + (a->x3.id ? x3i.pitch : 0);
        k_last = a->x3.id ? x3i.pitch : x2i.pitch;
    }
    if (!add_weights(b, a->at, weight, bias, extra ? 2 : 1, &m, k_rows, k_last, vka_pitch(m.rows), &p.tile, in))
        return none;
    p.n_packed = m.n_packed;
    p.k_packed = m.k_packed;
    return add_node(b, &vka_op_conv, a->at, in, out, &p);
}

/* Rows of a block of the statistics that the node's kernel can leave; 0: none.  A matrix kernel leaves 64, if need be with another tile;
 * of the others the staging one has 64 rows side by side where its tile is 16 invocations high, and a broadcasting one
 * all the rows of its tile. */
static uint32_t statistics_rows(const struct vka_kernel_table *table, struct vka_matmul_params *p)
{
    struct vka_matmul_tile *t = &p->tile;
    if (p->act == VKA_ACT_GEGLU)
        return 0;
    if (t->id) /* so do split sums */
        return vka_matmul_statistics_tile(table, t) ? 64 : 0;
    if (t->shuffled)
        return t->rows;
    return t->threads / t->across == 16 ? 64 : 0;
}

vka_tensor vka_matmul_statistics(vka_build *b, vka_tensor y)
{
    if (!vka_build_ok(b, y))
        return none;
    const struct vka_tensor_info info = *vka_info(b->graph, y);
    if (info.producer < 0 || info.domain != VKA_SAMPLE)
        return none;
    struct vka_node *node = &b->graph->nodes[info.producer];
    if ((node->op != &vka_op_linear && node->op != &vka_op_conv && node->op != &vka_op_matmul_sum) || node->out[0].id != y.id || node->outputs > 1)
        return none;
    struct vka_matmul_params *p = (struct vka_matmul_params *)(void *)node->params;
    uint32_t pixels = info.h * info.w;
    if (pixels % 8) /* no block has fewer rows: the tile stays */
        return none;
    uint32_t rows = statistics_rows(b->table, p);
    if (rows == 0 || pixels % rows)
        return none;
    vka_scope name = vka_in(vka_scope_root(info.name), "statistics");
    vka_tensor stats = vka_graph_tensor(b, name.path, VKA_SAMPLE, VKA_TEMP, VKA_F32, info.n, 1, pixels / rows,
                                        2 * info.pitch);
    if (vka_build_ok(b, stats)) {
        b->graph->tensors[stats.id].block = rows;
        vka_graph_add_output(b, info.producer, stats);
    }
    return stats;
}

/* `again`: NULL, or length, period and rows of a table that begins again and again. */
static vka_tensor weight_table(vka_build *b, vka_scope s, const char *name, bool padded, const uint32_t *again)
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
    struct vka_weight_recipe recipe = {
        .kind = VKA_PACK_TABLE, .sources = 1, .source = &w, .p = {(uint32_t)columns}, .from = &b->source};
    uint32_t c = padded ? vka_pitch((uint32_t)columns) : (uint32_t)columns;
    if (again && rows < again[0]) {
        vka_build_fail(b, VKA_E_USAGE, "windows of %u frames, but the motion module's table of positions ends at %u", again[0],
                       (uint32_t)rows);
        return none;
    }
    for (uint32_t i = 0; again && i < 2; i++)
        recipe.p[1 + i] = again[i];
    return vka_graph_weight(b, vka_in(s, name).path, VKA_F32, 1, 1, again ? again[2] : (uint32_t)rows, c, &recipe);
}

vka_tensor vka_weight_table(vka_build *b, vka_scope s, const char *name)
{
    return weight_table(b, s, name, false, NULL);
}

vka_tensor vka_weight_rows(vka_build *b, vka_scope s, const char *name)
{
    return weight_table(b, s, name, true, NULL);
}

vka_tensor vka_weight_rows_again(vka_build *b, vka_scope s, const char *name, uint32_t length, uint32_t every, uint32_t rows)
{
    return weight_table(b, s, name, true, (uint32_t[]){length, every, rows});
}
