/* rows.c - rows as tokens: those of one tensor behind those of another, the rows of a table for every sample, a row cut in several,
 * positions added; see shaders/rows.comp.
 *
 * x [n, h, w, c] or a table f32 [1, 1, R, c], y [n, h', w', c] -> [n, 1, T, c] of the storage's type.  Cut by samples. */
#include "ops/launch.h"
#include "ops/ops.h"

struct rows_params {
    uint32_t x_rows; /* of the output */
    uint32_t split;  /* 1: rows stay whole */
    uint32_t table;  /* x is one */
};

static void rows_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = vka_elements(vka_info(g, node->out[0]));
    cost->bytes = 2.0 * vka_elements(vka_info(g, node->out[0])) * vka_dtype_bytes(vka_info(g, node->out[0])->dtype);
}

static uint32_t rows_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE);
}

static void rows_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct rows_params *p = (const struct rows_params *)(const void *)node->params;
    const struct vka_view *x = &r->in[0], *y = node->in[1].id ? &r->in[1] : x, *positions = &r->in[2], *out = &r->out[0];
    struct {
        uint64_t x, y, positions, result;
        uint32_t x_stride, y_stride, result_stride, x_pitch, y_pitch, result_pitch, x_rows, count, c, pad;
    } push = {.x = x->address,
              .y = y->address,
              .positions = node->in[2].id ? positions->address : 0,
              .result = out->address,
              .x_stride = p->table ? 0 : x->sample_stride,
              .y_stride = y->sample_stride,
              .result_stride = out->sample_stride,
              .x_pitch = p->split > 1 ? out->c : x->pitch,
              .y_pitch = y->pitch,
              .result_pitch = out->pitch,
              .x_rows = p->x_rows,
              .count = out->h * out->w,
              .c = out->c};
    _Static_assert(sizeof push == 72, "the push block of shaders/rows.comp");
    uint32_t constants[] = {vka_elementwise_lanes(r->table), p->table, node->in[2].id != 0};
    uint64_t items = (uint64_t)push.count * (out->pitch / 4);
    vka_launch(r, vka_variant(out->dtype, VKA_SHADER_ROWS_F32, VKA_SHADER_ROWS_F16), constants, 3, &push, sizeof push,
               (items + constants[0] - 1) / constants[0], out->n);
}

static const struct vka_op vka_op_rows = {"rows", rows_cost, rows_axes, rows_record, NULL};

vka_tensor vka_rows(vka_build *b, const struct vka_rows_args *a)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, a->x))
        return none;
    const struct vka_tensor_info x = *vka_info(b->graph, a->x), *y = a->y.id ? vka_info(b->graph, a->y) : NULL,
                                 *positions = a->positions.id ? vka_info(b->graph, a->positions) : NULL;
    bool table = x.domain == VKA_GLOBAL;
    vka_tensor like = table ? (a->y.id ? a->y : a->like) : a->x;
    uint32_t split = a->split > 1 ? a->split : 1, c = x.c / split, rows = x.h * x.w * split;
    bool fits = like.id && vka_info(b->graph, like)->domain == VKA_SAMPLE && x.c % split == 0 && (split == 1 || c % 8 == 0) &&
                a->take <= rows && (table ? x.dtype == VKA_F32 && x.n == 1 && x.pitch == x.c && split == 1 : x.dtype == b->storage) &&
                (!y || (y->domain == VKA_SAMPLE && y->dtype == b->storage && y->c == c));
    uint32_t taken = a->take ? a->take : rows, count = taken + (y ? y->h * y->w : 0);
    if (!fits) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: the rows of %s and %s do not fit together", a->label.path, x.name, y ? y->name : "none");
        return none;
    }
    if (positions && (positions->domain != VKA_GLOBAL || positions->dtype != VKA_F32 || positions->pitch != c || positions->c != c ||
                      positions->h * positions->w < count)) {
        vka_build_fail(b, VKA_E_INPUT, "%s: %s is [%u, %u], which does not fit %u rows of %u", a->label.path, positions->name,
                       positions->h * positions->w, positions->c, count, c);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, a->label.path, VKA_SAMPLE, VKA_TEMP, b->storage, 0, 1, count, c);
    const vka_tensor in[4] = {a->x, a->y, a->positions, table && !y ? like : none};
    vka_graph_node(b, &vka_op_rows, a->label, in, 4, &out, 1,
                   &(struct rows_params){.x_rows = taken, .split = split, .table = table}, sizeof(struct rows_params));
    return b->err.status == VKA_OK ? out : none;
}
