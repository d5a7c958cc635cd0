/* graph.c - building a graph: names, tensors, nodes, and the final ordering.  See graph.h. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ELEMENTS ((uint64_t)1 << 46)

vka_scope vka_scope_root(const char *path)
{
    vka_scope s;
    snprintf(s.path, sizeof s.path, "%s", path);
    return s;
}

vka_scope vka_in(vka_scope s, const char *name)
{
    size_t n = strlen(s.path);
    snprintf(s.path + n, sizeof s.path - n, "%s%s", n ? "." : "", name);
    return s;
}

vka_scope vka_in_index(vka_scope s, const char *name, uint32_t index)
{
    char text[64];
    snprintf(text, sizeof text, "%s.%u", name, index);
    return vka_in(s, text);
}

struct vka_graph *vka_graph_create(const char *name, uint32_t branches, uint32_t frames)
{
    if (!branches || !frames || branches > INT32_MAX / frames)
        return NULL;
    struct vka_graph *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->name = vka_arena_strdup(&g->arena, name);
    g->samples = branches * frames;
    g->frames = frames;
    g->tensors = vka_grow(NULL, &g->tensor_capacity, 256, sizeof *g->tensors);
    g->nodes = vka_grow(NULL, &g->node_capacity, 256, sizeof *g->nodes);
    if (!g->tensors || !g->nodes || !g->name) {
        vka_graph_destroy(&g);
        return NULL;
    }
    g->tensors[0] = (struct vka_tensor_info){.block = 1, .name = "none", .producer = -1};
    g->tensor_count = 1;
    return g;
}

void vka_graph_destroy(struct vka_graph **g)
{
    if (!g || !*g)
        return;
    free((*g)->tensors);
    free((*g)->nodes);
    vka_arena_free(&(*g)->arena);
    free(*g);
    *g = NULL;
}

uint64_t vka_tensor_bytes(const struct vka_tensor_info *t)
{
    return (uint64_t)t->n * t->h * t->w * t->pitch * vka_dtype_bytes(t->dtype);
}

void vka_build_fail(vka_build *b, vka_status status, const char *what, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, what);
    vsnprintf(text, sizeof text, what, ap);
    va_end(ap);
    vka_fail(&b->err, status, "%s", text);
}

static vka_tensor add_tensor(vka_build *b, struct vka_tensor_info info)
{
    struct vka_graph *g = b->graph;
    vka_tensor none = {0};
    if (b->err.status != VKA_OK)
        return none;
    if (!info.n || !info.h || !info.w || !info.c) {
        vka_build_fail(b, VKA_E_INPUT, "the tensor '%s' would be empty", info.name);
        return none;
    }
    /* A sample's elements are counted in 31 bits by kernels; a tensor's bytes, summed over a network, in 64. */
    uint64_t e = (uint64_t)info.h * info.w;
    if (info.c > INT32_MAX || e > INT32_MAX || (e *= info.pitch) > INT32_MAX || e * info.n > MOST_ELEMENTS ||
        (info.domain == VKA_GLOBAL && e * info.n > INT32_MAX)) {
        vka_build_fail(b, VKA_E_MEMORY, "the tensor '%s' is too large: %u x %u x %u x %u", info.name, info.n, info.h,
                       info.w, info.c);
        return none;
    }
    struct vka_tensor_info *t = vka_grow(g->tensors, &g->tensor_capacity, (size_t)g->tensor_count + 1, sizeof *t);
    if (t)
        g->tensors = t; /* the old array is gone, whatever happens next */
    info.name = vka_arena_strdup(&g->arena, info.name);
    if (!t || !info.name) {
        vka_build_fail(b, VKA_E_MEMORY, "out of memory building a network");
        return none;
    }
    t[g->tensor_count] = info;
    return (vka_tensor){g->tensor_count++};
}

vka_tensor vka_graph_tensor(vka_build *b, const char *name, enum vka_domain domain, enum vka_role role,
                            enum vka_dtype dtype, uint32_t n, uint32_t h, uint32_t w, uint32_t c)
{
    struct vka_tensor_info t = {.dtype = dtype,
                                .domain = domain,
                                .role = role,
                                .n = n,
                                .h = h,
                                .w = w,
                                .c = c,
                                .pitch = dtype == VKA_F32 || dtype == VKA_F16 ? vka_pitch(c) : c,
                                .block = 1,
                                .name = name,
                                .producer = -1};
    if (domain == VKA_SAMPLE)
        t.n = b->graph->samples;
    return add_tensor(b, t);
}

/* Whether the recipes make the same numbers of the same tensors. */
static bool same_recipe(const struct vka_weight_recipe *a, const struct vka_weight_recipe *b)
{
    bool same = a->sources && a->kind == b->kind && a->sources == b->sources && a->from == b->from && !memcmp(a->p, b->p, sizeof a->p);
    for (uint32_t i = 0; same && i < a->sources; i++)
        same = a->source[i].data == b->source[i].data && a->source[i].changes == b->source[i].changes &&
               !strcmp(a->source[i].name, b->source[i].name);
    return same;
}

/* The weight that the graph has already, where layers share one; none: there is none. */
static vka_tensor known_weight(const struct vka_graph *g, const struct vka_tensor_info *t, const struct vka_weight_recipe *recipe)
{
    for (uint32_t i = 1; i < g->tensor_count; i++) {
        const struct vka_tensor_info *w = &g->tensors[i];
        if (w->role == VKA_WEIGHT && w->dtype == t->dtype && w->n == t->n && w->h == t->h && w->w == t->w && w->c == t->c &&
            same_recipe(w->recipe, recipe) && !strcmp(w->name, t->name))
            return (vka_tensor){i};
    }
    return (vka_tensor){0};
}

vka_tensor vka_graph_weight(vka_build *b, const char *name, enum vka_dtype dtype, uint32_t n, uint32_t h, uint32_t w,
                            uint32_t c, const struct vka_weight_recipe *recipe)
{
    struct vka_tensor_info t = {.dtype = dtype,
                                .domain = VKA_GLOBAL,
                                .role = VKA_WEIGHT,
                                .n = n,
                                .h = h,
                                .w = w,
                                .c = c,
                                .pitch = c,
                                .block = 1,
                                .name = name,
                                .producer = -1};
    if (b->err.status != VKA_OK)
        return (vka_tensor){0};
    vka_tensor known = known_weight(b->graph, &t, recipe);
    if (known.id)
        return known;
    t.recipe = vka_arena_alloc(&b->graph->arena, sizeof *t.recipe);
    size_t bytes = recipe->sources * sizeof *recipe->source;
    struct vka_weight_data *source = vka_arena_alloc(&b->graph->arena, bytes ? bytes : 1);
    if (!t.recipe || !source) {
        vka_build_fail(b, VKA_E_MEMORY, "out of memory building a network");
        return (vka_tensor){0};
    }
    *t.recipe = *recipe;
    if (bytes)
        memcpy(source, recipe->source, bytes);
    t.recipe->source = source;
    return add_tensor(b, t);
}

int32_t vka_graph_node(vka_build *b, const struct vka_op *op, vka_scope label, const vka_tensor *in, uint32_t inputs,
                       const vka_tensor *out, uint32_t outputs, const void *params, size_t bytes)
{
    struct vka_graph *g = b->graph;
    if (b->err.status != VKA_OK)
        return -1;
    if (inputs > VKA_NODE_INPUTS || outputs == 0 || outputs > VKA_NODE_OUTPUTS || bytes > VKA_NODE_PARAMS) {
        vka_build_fail(b, VKA_E_INTERNAL, "cannot add the node '%s'", label.path);
        return -1;
    }
    struct vka_node *nodes = vka_grow(g->nodes, &g->node_capacity, (size_t)g->node_count + 1, sizeof *nodes);
    if (!nodes) {
        vka_build_fail(b, VKA_E_MEMORY, "out of memory building a network");
        return -1;
    }
    g->nodes = nodes;
    struct vka_node *node = &nodes[g->node_count];
    *node = (struct vka_node){.op = op, .inputs = inputs, .outputs = outputs};
    node->label = vka_arena_strdup(&g->arena, label.path);
    if (!node->label) {
        vka_build_fail(b, VKA_E_MEMORY, "out of memory building a network");
        return -1;
    }
    if (inputs)
        memcpy(node->in, in, inputs * sizeof *in);
    memcpy(node->out, out, outputs * sizeof *out);
    if (bytes)
        memcpy(node->params, params, bytes);
    for (uint32_t i = 0; i < outputs; i++)
        g->tensors[out[i].id].producer = (int32_t)g->node_count;
    return (int32_t)g->node_count++;
}

void vka_graph_add_output(vka_build *b, int32_t node, vka_tensor t)
{
    struct vka_graph *g = b->graph;
    if (b->err.status != VKA_OK || node < 0)
        return;
    struct vka_node *n = &g->nodes[node];
    if (n->outputs == VKA_NODE_OUTPUTS) {
        vka_build_fail(b, VKA_E_INTERNAL, "the node '%s' has all its outputs", n->label);
        return;
    }
    n->out[n->outputs++] = t;
    g->tensors[t.id].producer = node;
}

void vka_graph_in_place(vka_build *b, int32_t node, uint32_t input)
{
    if (b->err.status == VKA_OK && node >= 0)
        b->graph->nodes[node].in_place |= 1u << input;
}

void vka_graph_end_segment(vka_build *b, vka_tensor t)
{
    if (b->err.status == VKA_OK && b->graph->tensors[t.id].producer >= 0)
        b->graph->nodes[b->graph->tensors[t.id].producer].ends = true;
}

void vka_graph_output(vka_build *b, vka_tensor t)
{
    if (b->err.status == VKA_OK)
        b->graph->tensors[t.id].role = VKA_OUTPUT;
}

bool vka_find_weight(vka_build *b, vka_scope s, const char *name, bool required, struct vka_weight_data *out)
{
    vka_scope full = vka_in(s, name);
    if (b->source.find(b->source.user, full.path, out))
        return true;
    if (required) {
        uint32_t keep = sizeof b->missing / sizeof b->missing[0];
        if (b->missing_count < keep)
            snprintf(b->missing[b->missing_count], sizeof b->missing[0], "%.159s", full.path);
        b->missing_count++;
    }
    return false;
}

bool vka_has_weight(vka_build *b, vka_scope s, const char *name)
{
    return b->source.find(b->source.user, vka_in(s, name).path, NULL);
}

/* Whether no tensor of a node is in the domain SAMPLE. */
static bool node_is_global(const struct vka_graph *g, const struct vka_node *n)
{
    for (uint32_t i = 0; i < n->inputs; i++)
        if (g->tensors[n->in[i].id].domain == VKA_SAMPLE)
            return false;
    for (uint32_t i = 0; i < n->outputs; i++)
        if (g->tensors[n->out[i].id].domain == VKA_SAMPLE)
            return false;
    return true;
}

vka_status vka_build_finish(vka_build *b, const vka_tensor *changing, uint32_t count, vka_error *err)
{
    struct vka_graph *g = b->graph;
    if (b->missing_count) {
        char names[400] = "";
        size_t used = 0;
        uint32_t keep = sizeof b->missing / sizeof b->missing[0], show = 3;
        for (uint32_t i = 0; i < b->missing_count && i < show && i < keep; i++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s'%.120s'", i ? ", " : "", b->missing[i]);
        b->err = (vka_error){0};
        vka_fail(&b->err, VKA_E_INPUT, "the model lacks %u tensor%s that its %s needs", b->missing_count,
                 b->missing_count == 1 ? "" : "s", g->name);
        vka_error_why(&b->err, "missing: %s%s", names, b->missing_count > show ? ", ..." : "");
    }
    if (b->err.status != VKA_OK) {
        if (err && err->status == VKA_OK)
            *err = b->err;
        return b->err.status;
    }
    enum kind { ONCE, EACH_STEP, CLIP }; /* once per prompt; global, every step; the clip itself and what comes of it */
    unsigned char *kind = vka_calloc(g->tensor_count, sizeof *kind); /* of the node that a tensor comes from */
    struct vka_node *sorted = vka_calloc(g->node_capacity, sizeof *sorted);
    if (!kind || !sorted) {
        free(kind);
        free(sorted);
        return vka_fail(err, VKA_E_MEMORY, "out of memory building a network");
    }
    for (uint32_t i = 0; i < count; i++)
        if (changing[i].id)
            kind[changing[i].id] = EACH_STEP;
    for (uint32_t i = 0; i < g->node_count; i++) {
        struct vka_node *n = &g->nodes[i];
        unsigned char k = node_is_global(g, n) ? ONCE : CLIP;
        for (uint32_t t = 0; t < n->inputs; t++)
            if (kind[n->in[t].id] > k)
                k = kind[n->in[t].id];
        n->once = k == ONCE;
        for (uint32_t t = 0; t < n->outputs; t++)
            kind[n->out[t].id] = k;
    }
    uint32_t at = 0;
    for (unsigned char pass = ONCE; pass <= CLIP; pass++)
        for (uint32_t i = 0; i < g->node_count; i++)
            if (kind[g->nodes[i].out[0].id] == pass)
                sorted[at++] = g->nodes[i];
    free(g->nodes);
    free(kind);
    g->nodes = sorted;
    for (uint32_t i = 0; i < g->node_count; i++)
        for (uint32_t k = 0; k < sorted[i].outputs; k++)
            g->tensors[sorted[i].out[k].id].producer = (int32_t)i;
    return VKA_OK;
}
