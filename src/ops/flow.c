/* flow.c - see flow.h.
 *
 * One invocation makes one pixel of one direction, reads what lies around it and writes nothing else; so no operator can run in
 * place or be cut, and all of them are whole in every plan.  Rows are dense, see shaders/lib/rows.glsl. */
#include "ops/flow.h"

#include "ops/launch.h"

struct flow_params {
    float lambda;
    uint32_t factor; /* pixels of the picture between two of the coarse state */
    uint32_t reach;  /* usual: pixels around */
};

static const struct flow_params *params_of(const struct vka_node *node)
{
    const void *p = node->params;
    return p;
}

static uint32_t width_of(const struct vka_tensor_info *t, uint32_t numbers)
{
    return numbers ? t->c / numbers : t->w;
}

static bool is_pair(const struct vka_build *b, vka_tensor t)
{
    const struct vka_tensor_info *i = vka_info(b->graph, t);
    return t.id && i->domain == VKA_GLOBAL && i->dtype == VKA_U8X4 && i->n == 2 && i->c == 1;
}

static bool is_fields(const struct vka_build *b, vka_tensor t, uint32_t n, uint32_t numbers)
{
    const struct vka_tensor_info *i = vka_info(b->graph, t);
    return t.id && i->domain == VKA_GLOBAL && i->dtype == VKA_F32 && i->n == n && i->w == 1 && i->c % numbers == 0;
}

static bool is_field(const struct vka_build *b, vka_tensor t, uint32_t numbers)
{
    return is_fields(b, t, 2, numbers);
}

/* Whether both are of the same picture, with a and k numbers a pixel (0: a picture itself). */
static bool same_size(const struct vka_build *b, vka_tensor x, uint32_t a, vka_tensor y, uint32_t k)
{
    const struct vka_tensor_info *i = vka_info(b->graph, x), *o = vka_info(b->graph, y);
    return i->h == o->h && width_of(i, a) == width_of(o, k);
}

static vka_tensor refuse(vka_build *b, const char *what)
{
    const vka_tensor none = {0};
    if (b->err.status == VKA_OK)
        vka_build_fail(b, VKA_E_INTERNAL, "%s: the fields do not fit together", what);
    return none;
}

static uint32_t flow_axes(const struct vka_graph *g, const struct vka_node *node)
{
    (void)g;
    (void)node;
    return 0;
}

/* Operations per number of the result, by and large. */
static void cost_of(const struct vka_graph *g, const struct vka_node *node, double flop, struct vka_cost *cost)
{
    cost->flop = flop * vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node);
}

static void launch(struct vka_recorder *r, uint32_t shader, const uint32_t *more, const void *push, uint32_t bytes,
                   uint32_t pixels, uint32_t samples)
{
    const uint32_t constants[2] = {vka_elementwise_lanes(r->table), more ? *more : 0};
    vka_launch(r, shader, constants, more ? 2 : 1, push, bytes, vka_div_up(pixels, constants[0]), samples);
}

/* ---- brightness and its pyramid ----------------------------------------------------------------------------- */

static void luma_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 6, cost);
}

static void luma_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *out = &r->out[0];
    const struct {
        uint64_t pictures, plane;
        uint32_t h, w;
    } push = {r->in[0].address, out->address, out->h, out->c};
    _Static_assert(sizeof push == 24, "the push block of shaders/flow_luma.comp");
    launch(r, VKA_SHADER_FLOW_LUMA, NULL, &push, sizeof push, push.h * push.w, 2);
}

static const struct vka_op vka_op_flow_luma = {"flow luma", luma_cost, flow_axes, luma_record, NULL};

vka_tensor vka_flow_luma(vka_build *b, vka_tensor pictures)
{
    if (b->err.status != VKA_OK || !is_pair(b, pictures))
        return refuse(b, "flow luma");
    const struct vka_tensor_info i = *vka_info(b->graph, pictures);
    vka_tensor out = vka_graph_tensor(b, "luma", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, i.h, 1, i.w);
    vka_graph_node(b, &vka_op_flow_luma, vka_scope_root("flow luma"), &pictures, 1, &out, 1, NULL, 0);
    return out;
}

static void reduce_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 60, cost);
}

static void reduce_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *in = &r->in[0], *out = &r->out[0];
    const struct {
        uint64_t plane, half;
        uint32_t h, w;
    } push = {in->address, out->address, in->h, in->c};
    _Static_assert(sizeof push == 24, "the push block of shaders/flow_reduce.comp");
    launch(r, VKA_SHADER_FLOW_REDUCE, NULL, &push, sizeof push, out->h * out->c, 2);
}

static const struct vka_op vka_op_flow_reduce = {"flow reduce", reduce_cost, flow_axes, reduce_record, NULL};

vka_tensor vka_flow_reduce(vka_build *b, vka_tensor plane)
{
    if (b->err.status != VKA_OK || !is_field(b, plane, 1))
        return refuse(b, "flow reduce");
    const struct vka_tensor_info i = *vka_info(b->graph, plane);
    vka_tensor out = vka_graph_tensor(b, "level", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, vka_div_up(i.h, 2), 1, vka_div_up(i.c, 2));
    vka_graph_node(b, &vka_op_flow_reduce, vka_scope_root("flow reduce"), &plane, 1, &out, 1, NULL, 0);
    return out;
}

/* ---- the flow ------------------------------------------------------------------------------------------------- */

static void expand_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 8, cost);
}

static void expand_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_view *out = &r->out[0];
    const uint32_t from = node->in[0].id != 0;
    const struct {
        uint64_t from, state;
        uint32_t h, w;
    } push = {from ? r->in[0].address : out->address, out->address, out->h, out->c / 8};
    _Static_assert(sizeof push == 24, "the push block of shaders/flow_expand.comp");
    launch(r, VKA_SHADER_FLOW_EXPAND, &from, &push, sizeof push, push.h * push.w, 2);
}

static const struct vka_op vka_op_flow_expand = {"flow expand", expand_cost, flow_axes, expand_record, NULL};

vka_tensor vka_flow_expand(vka_build *b, vka_tensor plane, vka_tensor from)
{
    if (b->err.status != VKA_OK || !is_field(b, plane, 1))
        return refuse(b, "flow expand");
    const struct vka_tensor_info i = *vka_info(b->graph, plane);
    if (from.id) {
        const struct vka_tensor_info *f = vka_info(b->graph, from);
        if (!is_field(b, from, 8) || f->h != vka_div_up(i.h, 2) || width_of(f, 8) != vka_div_up(i.c, 2))
            return refuse(b, "flow expand");
    }
    /* without a source the plane stands for it, as what the node depends on: it is not read */
    const vka_tensor in[2] = {from, plane};
    vka_tensor out = vka_graph_tensor(b, "state", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, i.h, 1, 8 * i.c);
    vka_graph_node(b, &vka_op_flow_expand, vka_scope_root("flow expand"), in, 2, &out, 1, NULL, 0);
    return out;
}

static void search_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 81 * 75 / 8, cost);
}

static void search_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *plane = &r->in[0];
    const struct {
        uint64_t plane, state, result;
        uint32_t h, w;
    } push = {plane->address, r->in[1].address, r->out[0].address, plane->h, plane->c};
    _Static_assert(sizeof push == 32, "the push block of shaders/flow_search.comp");
    launch(r, VKA_SHADER_FLOW_SEARCH, NULL, &push, sizeof push, push.h * push.w, 2);
}

static const struct vka_op vka_op_flow_search = {"flow search", search_cost, flow_axes, search_record, NULL};

vka_tensor vka_flow_search(vka_build *b, vka_tensor plane, vka_tensor state)
{
    if (b->err.status != VKA_OK || !is_field(b, plane, 1) || !is_field(b, state, 8) ||
        !same_size(b, plane, 1, state, 8))
        return refuse(b, "flow search");
    const struct vka_tensor_info i = *vka_info(b->graph, state);
    const vka_tensor in[2] = {plane, state};
    vka_tensor out = vka_graph_tensor(b, "searched", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, i.h, 1, i.c);
    vka_graph_node(b, &vka_op_flow_search, vka_scope_root("flow search"), in, 2, &out, 1, NULL, 0);
    return out;
}

static void match_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 60, cost);
}

static void match_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *plane = &r->in[0];
    const struct {
        uint64_t plane, state, match, result;
        uint32_t h, w;
    } push = {plane->address, r->in[1].address, r->out[0].address, r->out[1].address, plane->h, plane->c};
    _Static_assert(sizeof push == 40, "the push block of shaders/flow_match.comp");
    launch(r, VKA_SHADER_FLOW_MATCH, NULL, &push, sizeof push, push.h * push.w, 2);
}

static const struct vka_op vka_op_flow_match = {"flow match", match_cost, flow_axes, match_record, NULL};

vka_tensor vka_flow_match(vka_build *b, vka_tensor plane, vka_tensor state, vka_tensor *smooth)
{
    *smooth = (vka_tensor){0};
    if (b->err.status != VKA_OK || !is_field(b, plane, 1) || !is_field(b, state, 8) ||
        !same_size(b, plane, 1, state, 8))
        return refuse(b, "flow match");
    const struct vka_tensor_info i = *vka_info(b->graph, plane);
    const vka_tensor in[2] = {plane, state};
    const vka_tensor out[2] = {vka_graph_tensor(b, "match", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, i.h, 1, 4 * i.c),
                               vka_graph_tensor(b, "smooth", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, i.h, 1, 8 * i.c)};
    vka_graph_node(b, &vka_op_flow_match, vka_scope_root("flow match"), in, 2, out, 2, NULL, 0);
    *smooth = out[1];
    return out[0];
}

static void relax_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 14, cost);
}

static void relax_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_view *out = &r->out[0];
    const struct {
        uint64_t match, state, result;
        uint32_t h, w;
        float lambda, pad;
    } push = {r->in[0].address, r->in[1].address, out->address, out->h, out->c / 8, params_of(node)->lambda, 0};
    _Static_assert(sizeof push == 40, "the push block of shaders/flow_relax.comp");
    launch(r, VKA_SHADER_FLOW_RELAX, NULL, &push, sizeof push, push.h * push.w, 2);
}

static const struct vka_op vka_op_flow_relax = {"flow relax", relax_cost, flow_axes, relax_record, NULL};

vka_tensor vka_flow_relax(vka_build *b, vka_tensor match, vka_tensor state, float lambda)
{
    if (b->err.status != VKA_OK || !is_field(b, match, 4) || !is_field(b, state, 8) ||
        !same_size(b, match, 4, state, 8))
        return refuse(b, "flow relax");
    const struct vka_tensor_info i = *vka_info(b->graph, state);
    const vka_tensor in[2] = {match, state};
    const struct flow_params p = {.lambda = lambda};
    vka_tensor out = vka_graph_tensor(b, "relaxed", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, i.h, 1, i.c);
    vka_graph_node(b, &vka_op_flow_relax, vka_scope_root("flow relax"), in, 2, &out, 1, &p, sizeof p);
    return out;
}

/* ---- frames between --------------------------------------------------------------------------------------------- */

static void fill_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 400, cost);
}

static void fill_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_view *pictures = &r->in[0], *coarse = &r->in[2];
    const struct {
        uint64_t pictures, state, coarse, motion;
        uint32_t h, w, coarse_h, coarse_w, factor, pad;
    } push = {pictures->address, r->in[1].address, coarse->address, r->out[0].address, pictures->h, pictures->w,
              coarse->h, coarse->c / 8, params_of(node)->factor, 0};
    _Static_assert(sizeof push == 56, "the push block of shaders/flow_fill.comp");
    launch(r, VKA_SHADER_FLOW_FILL, NULL, &push, sizeof push, push.h * push.w, 2);
}

static const struct vka_op vka_op_flow_fill = {"flow fill", fill_cost, flow_axes, fill_record, NULL};

vka_tensor vka_flow_fill(vka_build *b, vka_tensor pictures, vka_tensor state, vka_tensor coarse, uint32_t factor)
{
    if (b->err.status != VKA_OK || !is_pair(b, pictures) || !is_field(b, state, 8) ||
        !is_field(b, coarse, 8) || !same_size(b, pictures, 0, state, 8) || !factor)
        return refuse(b, "flow fill");
    const struct vka_tensor_info i = *vka_info(b->graph, pictures);
    const vka_tensor in[3] = {pictures, state, coarse};
    const struct flow_params p = {.factor = factor};
    vka_tensor out = vka_graph_tensor(b, "motion", VKA_GLOBAL, VKA_TEMP, VKA_F32, 2, i.h, 1, 4 * i.w);
    vka_graph_node(b, &vka_op_flow_fill, vka_scope_root("flow fill"), in, 3, &out, 1, &p, sizeof p);
    return out;
}

static void usual_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 800, cost);
}

static void usual_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_view *out = &r->out[0];
    const struct {
        uint64_t motion, result;
        uint32_t h, w, reach, pad;
    } push = {r->in[0].address, out->address, out->h, out->c / 4, params_of(node)->reach, 0};
    _Static_assert(sizeof push == 32, "the push block of shaders/flow_usual.comp");
    launch(r, VKA_SHADER_FLOW_USUAL, NULL, &push, sizeof push, push.h * push.w, out->n);
}

static const struct vka_op vka_op_flow_usual = {"flow usual", usual_cost, flow_axes, usual_record, NULL};

vka_tensor vka_flow_usual(vka_build *b, vka_tensor motion, uint32_t reach)
{
    if (b->err.status != VKA_OK || !is_fields(b, motion, vka_info(b->graph, motion)->n, 4) || reach > 2)
        return refuse(b, "flow usual");
    const struct vka_tensor_info i = *vka_info(b->graph, motion);
    const struct flow_params p = {.reach = reach};
    vka_tensor out = vka_graph_tensor(b, "usual", VKA_GLOBAL, VKA_TEMP, VKA_F32, i.n, i.h, 1, i.c);
    vka_graph_node(b, &vka_op_flow_usual, vka_scope_root("flow usual"), &motion, 1, &out, 1, &p, sizeof p);
    return out;
}

static void choose_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 1500, cost);
}

static void choose_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_view *coarse = &r->in[2], *out = &r->out[0];
    const struct {
        uint64_t pictures, motion, coarse, paths;
        uint32_t h, w, coarse_h, coarse_w, factor, frames;
    } push = {r->in[0].address, r->in[1].address, coarse->address, out->address, out->h, out->c / 4,
              coarse->h, coarse->c / 8, params_of(node)->factor, out->n};
    _Static_assert(sizeof push == 56, "the push block of shaders/between_choose.comp");
    launch(r, VKA_SHADER_BETWEEN_CHOOSE, NULL, &push, sizeof push, push.h * push.w, push.frames);
}

static const struct vka_op vka_op_between_choose = {"between choose", choose_cost, flow_axes, choose_record, NULL};

vka_tensor vka_between_choose(vka_build *b, vka_tensor pictures, vka_tensor motion, vka_tensor coarse, uint32_t factor,
                              uint32_t frames)
{
    if (b->err.status != VKA_OK || !is_pair(b, pictures) || !is_field(b, motion, 4) || !is_field(b, coarse, 8) ||
        !same_size(b, pictures, 0, motion, 4) || !factor || !frames)
        return refuse(b, "between choose");
    const struct vka_tensor_info i = *vka_info(b->graph, pictures);
    const struct flow_params p = {.factor = factor};
    const vka_tensor in[3] = {pictures, motion, coarse};
    vka_tensor out = vka_graph_tensor(b, "paths", VKA_GLOBAL, VKA_TEMP, VKA_F32, frames, i.h, 1, 4 * i.w);
    vka_graph_node(b, &vka_op_between_choose, vka_scope_root("between choose"), in, 3, &out, 1, &p, sizeof p);
    return out;
}

static void between_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost_of(g, node, 800, cost);
}

static void between_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *out = &r->out[0];
    const struct {
        uint64_t pictures, motion, paths, result;
        uint32_t h, w, frames, pad;
    } push = {r->in[0].address, r->in[1].address, r->in[2].address, out->address, out->h, out->w, out->n, 0};
    _Static_assert(sizeof push == 48, "the push block of shaders/between.comp");
    launch(r, VKA_SHADER_BETWEEN, NULL, &push, sizeof push, push.h * push.w, push.frames);
}

static const struct vka_op vka_op_between = {"between", between_cost, flow_axes, between_record, NULL};

vka_tensor vka_between(vka_build *b, vka_tensor pictures, vka_tensor motion, vka_tensor paths)
{
    if (b->err.status != VKA_OK || !is_pair(b, pictures) || !is_field(b, motion, 4) ||
        !is_fields(b, paths, vka_info(b->graph, paths)->n, 4) || !same_size(b, pictures, 0, motion, 4) ||
        !same_size(b, pictures, 0, paths, 4))
        return refuse(b, "between");
    const struct vka_tensor_info i = *vka_info(b->graph, paths);
    const vka_tensor in[3] = {pictures, motion, paths};
    vka_tensor out = vka_graph_tensor(b, "frames between", VKA_GLOBAL, VKA_TEMP, VKA_U8X4, i.n, i.h, i.c / 4, 1);
    vka_graph_node(b, &vka_op_between, vka_scope_root("between"), in, 3, &out, 1, NULL, 0);
    return out;
}
