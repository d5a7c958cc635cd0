/* hints.c - see hints.h.  One invocation makes one pixel (of hint_grow: one workgroup a tile); rows are dense, see
 * shaders/lib/rows.glsl. */
#include "ops/hints.h"

#include "ops/launch.h"

#include <math.h>

enum { MOST_REACH = 19, TILE = 16, MOST_FACTOR = 64 };
enum show { SHOW_EDGES, SHOW_LINES, SHOW_SOFT, SHOW_MEANS, SHOW_INVERSE };

struct hint_params {
    uint32_t down, reach; /* gauss */
    uint32_t low, high;   /* canny */
    uint32_t factor;      /* mean, show */
    uint32_t show;        /* enum show */
    float weights[MOST_REACH + 1];  /* gauss: of the pixel itself, and of those 1, 2 .. away */
};
_Static_assert(sizeof(struct hint_params) <= VKA_NODE_PARAMS, "params of a hint");

static const struct hint_params *params_of(const struct vka_node *node)
{
    const void *p = node->params;
    return p;
}

static bool is_colors(const struct vka_build *b, vka_tensor t)
{
    const struct vka_tensor_info *i = vka_info(b->graph, t);
    return t.id && i->domain == VKA_GLOBAL && i->dtype == VKA_F32 && i->n == 1 && i->w == 1 && i->c % 4 == 0;
}

static bool is_map(const struct vka_build *b, vka_tensor t, enum vka_dtype dtype)
{
    const struct vka_tensor_info *i = vka_info(b->graph, t);
    return t.id && i->domain == VKA_GLOBAL && i->dtype == dtype && i->n == 1 && i->c == 1;
}

static vka_tensor refuse(vka_build *b, const char *what)
{
    if (b->err.status == VKA_OK)
        vka_build_fail(b, VKA_E_INTERNAL, "%s: not a picture's tensor, or numbers out of range", what);
    return (vka_tensor){0};
}

static uint32_t hint_axes(const struct vka_graph *g, const struct vka_node *node)
{
    (void)g;
    (void)node;
    return 0;
}

/* By and large: all of them are over in no time. */
static void hint_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct hint_params *p = params_of(node);
    cost->flop = (40.0 + 4 * p->reach) * vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node);
}

static void launch(struct vka_recorder *r, uint32_t shader, const uint32_t *more, const void *push, uint32_t bytes,
                   uint32_t pixels)
{
    const uint32_t constants[2] = {vka_elementwise_lanes(r->table), more ? *more : 0};
    vka_launch(r, shader, constants, more ? 2 : 1, push, bytes, vka_div_up(pixels, constants[0]), 1);
}

static vka_tensor append(vka_build *b, const struct vka_op *op, const vka_tensor *in, uint32_t inputs, enum vka_dtype dtype,
                         uint32_t h, uint32_t w, uint32_t c, const struct hint_params *p)
{
    vka_tensor out = vka_graph_tensor(b, op->name, VKA_GLOBAL, VKA_TEMP, dtype, 1, h, w, c);
    vka_graph_node(b, op, vka_scope_root(op->name), in, inputs, &out, 1, p, sizeof *p);
    return b->err.status == VKA_OK ? out : (vka_tensor){0};
}

/* ---- open ----------------------------------------------------------------------------------------------------- */

static void open_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *in = &r->in[0];
    const struct {
        uint64_t image, result;
        uint32_t h, w;
    } push = {in->address, r->out[0].address, in->h, in->w};
    _Static_assert(sizeof push == 24, "the push block of shaders/hint_open.comp");
    launch(r, VKA_SHADER_HINT_OPEN, NULL, &push, sizeof push, push.h * push.w);
}

static const struct vka_op vka_op_hint_open = {"hint open", hint_cost, hint_axes, open_record, NULL};

vka_tensor vka_hint_open(vka_build *b, vka_tensor picture)
{
    if (b->err.status != VKA_OK || !is_map(b, picture, VKA_U8X4))
        return refuse(b, "hint open");
    const struct vka_tensor_info i = *vka_info(b->graph, picture);
    return append(b, &vka_op_hint_open, &picture, 1, VKA_F32, i.h, 1, 4 * i.w, &(struct hint_params){0});
}

/* ---- gauss ---------------------------------------------------------------------------------------------------- */

static void gauss_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct hint_params *p = params_of(node);
    const struct vka_view *in = &r->in[0];
    const struct {
        uint64_t image, weights, result;
        uint32_t h, w, reach, pad;
    } push = {in->address, r->args(r, p->weights, sizeof p->weights), r->out[0].address, in->h, in->c / 4, p->reach, 0};
    _Static_assert(sizeof push == 40, "the push block of shaders/hint_gauss.comp");
    launch(r, VKA_SHADER_HINT_GAUSS, &p->down, &push, sizeof push, push.h * push.w);
}

static const struct vka_op vka_op_hint_gauss = {"hint gauss", hint_cost, hint_axes, gauss_record, NULL};

vka_tensor vka_hint_gauss(vka_build *b, vka_tensor colors, float sigma)
{
    struct hint_params p = {.reach = sigma > 0 ? (uint32_t)ceilf(3 * sigma) : 0};
    double w[MOST_REACH + 1], sum = 0;
    if (b->err.status != VKA_OK || !is_colors(b, colors) || p.reach < 1 || p.reach > MOST_REACH)
        return refuse(b, "hint gauss");
    for (uint32_t k = 0; k <= p.reach; k++) {
        w[k] = exp(-(double)k * k / (2.0 * (double)sigma * (double)sigma));
        sum += k ? 2 * w[k] : w[k];
    }
    for (uint32_t k = 0; k <= p.reach; k++)
        p.weights[k] = (float)(w[k] / sum);
    const struct vka_tensor_info i = *vka_info(b->graph, colors);
    vka_tensor along = append(b, &vka_op_hint_gauss, &colors, 1, VKA_F32, i.h, 1, i.c, &p);
    p.down = 1;
    return append(b, &vka_op_hint_gauss, &along, 1, VKA_F32, i.h, 1, i.c, &p);
}

/* ---- edges ---------------------------------------------------------------------------------------------------- */

static void canny_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct hint_params *p = params_of(node);
    const struct vka_view *out = &r->out[0];
    const struct {
        uint64_t image, result;
        uint32_t h, w, low, high;
    } push = {r->in[0].address, out->address, out->h, out->w, p->low, p->high};
    _Static_assert(sizeof push == 32, "the push block of shaders/hint_canny.comp");
    launch(r, VKA_SHADER_HINT_CANNY, NULL, &push, sizeof push, push.h * push.w);
}

static const struct vka_op vka_op_hint_canny = {"hint canny", hint_cost, hint_axes, canny_record, NULL};

vka_tensor vka_hint_canny(vka_build *b, vka_tensor colors, uint32_t low, uint32_t high)
{
    if (b->err.status != VKA_OK || !is_colors(b, colors) || low > high || high > INT32_MAX)
        return refuse(b, "hint canny");
    const struct vka_tensor_info i = *vka_info(b->graph, colors);
    return append(b, &vka_op_hint_canny, &colors, 1, VKA_I32, i.h, i.c / 4, 1, &(struct hint_params){.low = low, .high = high});
}

static void grow_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *out = &r->out[0];
    const uint32_t lanes = vka_elementwise_lanes(r->table), across = vka_div_up(out->w, TILE);
    const struct {
        uint64_t edges, result;
        uint32_t h, w, across, tiles;
    } push = {r->in[0].address, out->address, out->h, out->w, across, across * vka_div_up(out->h, TILE)};
    _Static_assert(sizeof push == 32, "the push block of shaders/hint_grow.comp");
    vka_launch(r, VKA_SHADER_HINT_GROW, &lanes, 1, &push, sizeof push, push.tiles, 1);
}

static const struct vka_op vka_op_hint_grow = {"hint grow", hint_cost, hint_axes, grow_record, NULL};

vka_tensor vka_hint_grow(vka_build *b, vka_tensor edges)
{
    if (b->err.status != VKA_OK || !is_map(b, edges, VKA_I32))
        return refuse(b, "hint grow");
    const struct vka_tensor_info i = *vka_info(b->graph, edges);
    return append(b, &vka_op_hint_grow, &edges, 1, VKA_I32, i.h, i.w, 1, &(struct hint_params){0});
}

/* ---- means ---------------------------------------------------------------------------------------------------- */

static void mean_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_view *in = &r->in[0], *out = &r->out[0];
    const struct {
        uint64_t image, result;
        uint32_t h, w, factor, pad;
    } push = {in->address, out->address, in->h, in->c / 4, params_of(node)->factor, 0};
    _Static_assert(sizeof push == 32, "the push block of shaders/hint_mean.comp");
    launch(r, VKA_SHADER_HINT_MEAN, NULL, &push, sizeof push, out->h * (out->c / 4));
}

static const struct vka_op vka_op_hint_mean = {"hint mean", hint_cost, hint_axes, mean_record, NULL};

vka_tensor vka_hint_mean(vka_build *b, vka_tensor colors, uint32_t factor)
{
    if (b->err.status != VKA_OK || !is_colors(b, colors) || factor < 1 || factor > MOST_FACTOR)
        return refuse(b, "hint mean");
    const struct vka_tensor_info i = *vka_info(b->graph, colors);
    return append(b, &vka_op_hint_mean, &colors, 1, VKA_F32, vka_div_up(i.h, factor), 1, 4 * vka_div_up(i.c / 4, factor),
                  &(struct hint_params){.factor = factor});
}

/* ---- pictures ------------------------------------------------------------------------------------------------- */

static void show_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct hint_params *p = params_of(node);
    const struct vka_view *out = &r->out[0];
    struct {
        uint64_t in[3], result;
        uint32_t h, w, factor, pad;
    } push = {.result = out->address, .h = out->h, .w = out->w, .factor = p->factor};
    _Static_assert(sizeof push == 48, "the push block of shaders/hint_show.comp");
    for (uint32_t i = 0; i < 3; i++)
        push.in[i] = r->in[i < node->inputs ? i : 0].address;
    launch(r, VKA_SHADER_HINT_SHOW, &p->show, &push, sizeof push, push.h * push.w);
}

static const struct vka_op vka_op_hint_show = {"hint show", hint_cost, hint_axes, show_record, NULL};

static vka_tensor show(vka_build *b, enum show kind, const vka_tensor *in, uint32_t count, uint32_t h, uint32_t w,
                       uint32_t factor)
{
    return append(b, &vka_op_hint_show, in, count, VKA_U8X4, h, w, 1, &(struct hint_params){.show = kind, .factor = factor});
}

/* Of colours of one size. */
static vka_tensor show_colors(vka_build *b, enum show kind, const vka_tensor *in, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (b->err.status != VKA_OK || !is_colors(b, in[i]) || vka_info(b->graph, in[i])->h != vka_info(b->graph, in[0])->h ||
            vka_info(b->graph, in[i])->c != vka_info(b->graph, in[0])->c)
            return refuse(b, "hint show");
    const struct vka_tensor_info i = *vka_info(b->graph, in[0]);
    return show(b, kind, in, count, i.h, i.c / 4, 1);
}

vka_tensor vka_hint_show_edges(vka_build *b, vka_tensor edges)
{
    if (b->err.status != VKA_OK || !is_map(b, edges, VKA_I32))
        return refuse(b, "hint show");
    const struct vka_tensor_info i = *vka_info(b->graph, edges);
    return show(b, SHOW_EDGES, &edges, 1, i.h, i.w, 1);
}

vka_tensor vka_hint_show_lines(vka_build *b, vka_tensor colors, vka_tensor smooth)
{
    const vka_tensor in[2] = {colors, smooth};
    return show_colors(b, SHOW_LINES, in, 2);
}

vka_tensor vka_hint_show_soft(vka_build *b, const vka_tensor colors[3])
{
    return show_colors(b, SHOW_SOFT, colors, 3);
}

vka_tensor vka_hint_show_means(vka_build *b, vka_tensor means, uint32_t height, uint32_t width, uint32_t factor)
{
    if (b->err.status != VKA_OK || !is_colors(b, means) || factor < 1 || factor > MOST_FACTOR ||
        vka_info(b->graph, means)->h != vka_div_up(height, factor) ||
        vka_info(b->graph, means)->c != 4 * vka_div_up(width, factor))
        return refuse(b, "hint show");
    return show(b, SHOW_MEANS, &means, 1, height, width, factor);
}

vka_tensor vka_hint_show_inverse(vka_build *b, vka_tensor colors)
{
    return show_colors(b, SHOW_INVERSE, &colors, 1);
}
