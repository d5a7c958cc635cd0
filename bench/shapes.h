/* shapes.h - the distinct pieces of work of one UNet evaluation, out of the graph that a render builds.
 *
 * Two nodes are the same shape when operator, what it computes and all tensors' shapes and types are equal; how a kernel
 * does it plays no part, so that keys compare across kernel tables. */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include "model.h"

#include "render/stages.h"

enum { BENCH_NUMBERS = 12 };

struct bench_shape {
    char key[320]; /* what makes it distinct */
    char name[128];
    const char *op; /* operator: "linear", "conv", "attention", ... */
    uint32_t node;  /* the first such node of the graph */
    int32_t sum;    /* the node that adds up its partial sums, where a product is split: one piece of work; -1: none */
    uint32_t count, once; /* nodes in each evaluation; nodes that run once per prompt */
    double flop;          /* of the model's sizes, padding not counted; softmax and norms count nothing of a product */
    double bytes;         /* by the operator's cost function */
    uint32_t numbers;     /* figures for the JSON: */
    struct {
        const char *name;
        double value;
    } number[BENCH_NUMBERS];
};

struct bench_network {
    const struct bench_model *model; /* borrowed */
    struct vka_unet_stage stage;     /* built, not planned */
    struct bench_shape *shapes;      /* by falling share of the FLOP, then of the bytes */
    uint32_t count;
};

/* What to build: guidance runs both branches together, as a render does. */
struct bench_size {
    uint32_t width, height, frames; /* picture pixels */
    uint32_t branches;              /* 2 with guidance */
    bool f16, motion;
};

/* A UNet evaluation as vka_unet_stage_build makes it, and its shapes.  `model` and the table's contents are used until
 * bench_network_close. */
vka_status bench_network_open(struct bench_network *n, const struct bench_model *model, const struct bench_size *size,
                              const struct vka_kernel_table *table, vka_error *err);
void bench_network_close(struct bench_network *n); /* a zeroed one is fine */
/* The shape with this key, or NULL. */
const struct bench_shape *bench_network_find(const struct bench_network *n, const char *key);

static inline const struct vka_graph *bench_graph(const struct bench_network *n)
{
    return n->stage.unet.graph;
}

/* The node that adds up the partial sums of node number `node`, or -1. */
int32_t bench_sum_of(const struct vka_graph *g, uint32_t node);
/* The inputs of a product whole, taken together from the node and the one that adds up its sums. */
void bench_product_inputs(const struct vka_node *product, const struct vka_node *sum, vka_tensor in[VKA_NODE_INPUTS]);

/* Shapes of any graph, for networks that are not a UNet; free() them. */
vka_status bench_shapes_of(const struct vka_graph *g, struct bench_shape **out, uint32_t *count, vka_error *err);

/* FLOP of all evaluations' nodes together, and bytes. */
void bench_network_cost(const struct bench_network *n, double *flop, double *bytes);

#endif
