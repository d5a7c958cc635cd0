/* embedding.c - what enters the networks as numbers: the timestep's sinusoids, and the rows of tokens and positions. */
#include "ops/describe.h"
#include "ops/launch.h"
#include "ops/ops.h"

#include <math.h>

/* ---- timestep: t f32 [1,1,1,1] -> f32 [1,1,1,dim] ------------------------------------------------- */

struct timestep_params {
    uint32_t dim, flip;
    float shift;
};

enum { MAX_TIMESTEP_DIM = 4096 };

static void timestep_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = 30.0 * vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t never(const struct vka_graph *g, const struct vka_node *node)
{
    (void)g;
    (void)node;
    return 0;
}

/* f_i = exp(-ln(10000) i / (half - shift)), each step rounded to binary32 as published implementations do: t goes to
 * 1000, so an ulp of f_1 is 6e-5 of the argument, and models were trained with these roundings. */
static void frequencies(const struct timestep_params *p, float *f)
{
    uint32_t half = p->dim / 2;
    float width = (float)half - p->shift;
    for (uint32_t i = 0; i < half; i++) {
        float exponent = (float)(-9.210340371976184 * (double)i);
        exponent = (float)((double)exponent / (double)width);
        f[i] = (float)exp((double)exponent);
    }
}

static void timestep_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct timestep_params *p = (const struct timestep_params *)(const void *)node->params;
    float f[MAX_TIMESTEP_DIM / 2];
    frequencies(p, f);
    struct {
        uint64_t t, frequency, result;
        uint32_t half_dim, pitch, flip, pad;
    } push = {.t = r->in[0].address,
              .frequency = r->args(r, f, (p->dim / 2 ? p->dim / 2 : 1) * (uint32_t)sizeof *f),
              .result = r->out[0].address,
              .half_dim = p->dim / 2,
              .pitch = r->out[0].pitch,
              .flip = p->flip};
    _Static_assert(sizeof push == 40, "the push block of shaders/timestep.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, VKA_SHADER_TIMESTEP, &lanes, 1, &push, sizeof push, vka_div_up(push.pitch, lanes), 1);
}

static const struct vka_op vka_op_timestep = {"timestep_embedding", timestep_cost, never, timestep_record, NULL};

vka_tensor vka_timestep_embedding(vka_build *b, vka_tensor t, uint32_t dim, bool flip_sin_to_cos, float shift)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, t))
        return none;
    if (dim < 2 || dim > MAX_TIMESTEP_DIM || !((float)(dim / 2) - shift > 0)) {
        vka_build_fail(b, VKA_E_INPUT, "a timestep embedding of %u numbers with shift %g is not supported", dim,
                       (double)shift);
        return none;
    }
    if (vka_info(b->graph, t)->dtype != VKA_F32 || vka_info(b->graph, t)->domain != VKA_GLOBAL) {
        vka_build_fail(b, VKA_E_INTERNAL, "the timestep must be one f32 for all samples");
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, "timestep_embedding", VKA_GLOBAL, VKA_TEMP, VKA_F32, 1, 1, 1, dim);
    const struct timestep_params p = {dim, flip_sin_to_cos, shift};
    vka_graph_node(b, &vka_op_timestep, vka_scope_root("timestep_embedding"), &t, 1, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}

/* ---- tokens: ids i32 [n,1,T,1] -> storage [n,1,T,D] ----------------------------------------------- */

static void token_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    double elements = vka_elements(vka_info(g, node->out[0]));
    cost->flop = elements;
    cost->bytes = elements * (8.0 + vka_dtype_bytes(vka_info(g, node->out[0])->dtype)); /* only the rows in use */
}

static void token_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *ids = &r->in[0], *tokens = &r->in[1], *positions = &r->in[2], *out = &r->out[0];
    struct {
        uint64_t ids, tokens, positions, result;
        uint32_t id_stride, id_pitch, result_stride, result_pitch, c, count, vocabulary, pad;
    } push = {.ids = ids->address,
              .tokens = tokens->address,
              .positions = positions->address,
              .result = out->address,
              .id_stride = ids->sample_stride,
              .id_pitch = ids->pitch,
              .result_stride = out->sample_stride,
              .result_pitch = out->pitch,
              .c = out->c,
              .count = out->pixels,
              .vocabulary = tokens->w};
    _Static_assert(sizeof push == 64, "the push block of shaders/token_embedding.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    uint64_t items = (uint64_t)out->pixels * (out->pitch / 4);
    vka_launch(r, vka_variant(out->dtype, VKA_SHADER_TOKEN_EMBEDDING_F32, VKA_SHADER_TOKEN_EMBEDDING_F16), &lanes, 1,
               &push, sizeof push, (items + lanes - 1) / lanes, out->n);
}

static uint32_t token_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE);
}

static const struct vka_op vka_op_token = {"token_embedding", token_cost, token_axes, token_record, NULL};

vka_tensor vka_token_embedding(vka_build *b, vka_tensor ids, vka_scope token, vka_scope position)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, ids))
        return none;
    vka_tensor tokens = vka_weight_table(b, token, "weight"), positions = vka_weight_table(b, position, "weight");
    if (b->err.status != VKA_OK || !tokens.id || !positions.id)
        return none;
    const struct vka_tensor_info id = *vka_info(b->graph, ids), *t = vka_info(b->graph, tokens),
                                 *p = vka_info(b->graph, positions);
    if (id.dtype != VKA_I32 || id.c != 1) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: token ids must be integers", token.path);
        return none;
    }
    if (t->c != p->c || p->w < id.h * id.w || t->w == 0) {
        vka_build_fail(b, VKA_E_INPUT, "%s is [%u, %u] and %s [%u, %u]: they do not fit %u tokens", token.path, t->w,
                       t->c, position.path, p->w, p->c, id.h * id.w);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, token.path, id.domain, VKA_TEMP, b->storage, id.n, id.h, id.w, t->c);
    const vka_tensor in[3] = {ids, tokens, positions};
    vka_graph_node(b, &vka_op_token, token, in, 3, &out, 1, NULL, 0);
    return b->err.status == VKA_OK ? out : none;
}

bool vka_timestep_describe(const struct vka_node *node, uint32_t *dim, bool *flip_sin_to_cos, float *shift)
{
    const struct timestep_params *p = (const struct timestep_params *)(const void *)node->params;
    if (node->op != &vka_op_timestep)
        return false;
    *dim = p->dim;
    *flip_sin_to_cos = p->flip != 0;
    *shift = p->shift;
    return true;
}
