/* tune.c - see tune.h.
 *
 * A class is tried on one product (bench/unit.h) that stays where it is: inputs, packed weights and places are the same for all
 * tiles of a path, so only the tile in the node's parameters changes and the lists are recorded anew.  The bits that the default
 * leaves are read once; before each candidate runs, the same places are filled with NaN.
 *
 * Time is short (a pipeline that is new to the driver may take half a second), so a candidate whose first run takes more than
 * CLEARLY times the best so far is dropped there, and only the others are sampled.  The last word has a second round, default and
 * best in turn, since clocks drift. */
#include "tune.h"

#include "base/clock.h"
#include "graph/graph.h"
#include "ops/matmul.h"
#include "ops/ops.h"
#include "render/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TILES = 64, MOST_BYTES = 16 << 20, SLICES = 64, SAMPLES = 5 };
enum { MOST_SUMS_CPU = 64 }; /* of an invocation: a software device compiles larger tiles for minutes */
static const double clearly = 1.3, worth = 1.02, least_share = 0.001;

/* ---- a product and its bits ---------------------------------------------------------------------------- */

struct trial {
    struct bench_run *r;
    struct bench_unit unit;
    struct vka_node *node; /* of the unit's graph: the product */
    uint8_t *want, *got;   /* slices of all outputs, one after the other */
    size_t bytes;
};

struct bench_slices bench_slices_of(uint64_t bytes)
{
    if (bytes <= MOST_BYTES)
        return (struct bench_slices){0, bytes, 0, 1};
    uint64_t length = MOST_BYTES / SLICES, step = (bytes - length) / (SLICES - 1);
    /* the last slice ends with the tensor: the first begins where the division left a rest */
    return (struct bench_slices){bytes - length - step * (SLICES - 1), length, step, SLICES};
}

/* Every slice of every output of the unit, read into `to`, or filled with NaN where `to` is NULL. */
static vka_status each_slice(struct trial *t, uint8_t *to, vka_error *err)
{
    const struct vka_graph *g = t->unit.graph;
    const struct vka_node *last = &g->nodes[g->node_count - 1];
    vka_status s = VKA_OK;
    size_t at = 0;
    for (uint32_t i = 0; s == VKA_OK && i < last->outputs; i++) {
        vka_block *block = t->unit.block[last->out[i].id];
        struct bench_slices c = bench_slices_of(vka_tensor_bytes(vka_info(g, last->out[i])));
        for (uint32_t k = 0; s == VKA_OK && k < c.count; k++, at += c.length) {
            uint64_t from = k ? c.first + k * c.step : 0;
            s = to ? vka_block_read(t->r->gpu, block, from, to + at, c.length, err)
                   : vka_block_write(t->r->gpu, block, from, t->got, c.length, err);
        }
    }
    return s;
}

static vka_status allocate(struct trial *t, vka_error *err)
{
    const struct vka_graph *g = t->unit.graph;
    const struct vka_node *last = &g->nodes[g->node_count - 1];
    for (uint32_t i = 0; i < last->outputs; i++) {
        struct bench_slices c = bench_slices_of(vka_tensor_bytes(vka_info(g, last->out[i])));
        t->bytes += (size_t)c.length * c.count;
    }
    t->want = malloc(t->bytes);
    t->got = malloc(t->bytes);
    return t->want && t->got ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

static void close_trial(struct trial *t)
{
    bench_unit_close(&t->unit);
    free(t->want);
    free(t->got);
    *t = (struct trial){0};
}

/* The product with this tile, run once over NaN: its bits into t->got. */
static vka_status run_tile(struct trial *t, const struct vka_matmul_tile *tile, double *seconds, vka_error *err)
{
    struct vka_matmul_params p = *vka_matmul_of(t->node);
    struct vka_exec *e = t->unit.exec;
    p.tile = *tile;
    memcpy(t->node->params, &p, sizeof p);
    memset(t->got, 0xff, t->bytes);
    vka_status s = each_slice(t, NULL, err);
    if (s == VKA_OK)
        s = vka_exec_record(e, err);
    double first = 0;
    for (int i = 0; s == VKA_OK && i < 2; i++) { /* the first may compile */
        s = vka_exec_run(e, true, &t->r->ticker, err);
        double sum = 0;
        for (uint32_t k = 0; s == VKA_OK && k < e->lists.count; k++)
            sum += 1e-9 * (double)vka_list_time(t->r->gpu, e->lists.items[k].list);
        first = i && sum > 0 ? sum : first;
    }
    *seconds = first;
    return s == VKA_OK ? each_slice(t, t->got, err) : s;
}

/* Of the tile that ran last. */
static vka_status sample(struct trial *t, double *ms, vka_error *err)
{
    const struct bench_sampling how = {SAMPLES, 0.1};
    struct bench_samples taken = {.count = 0};
    vka_status s = bench_unit_time(&t->unit, &how, &t->r->ticker, &taken, err);
    *ms = s == VKA_OK ? bench_spread_of(&taken).median : 0;
    return s;
}

/* ---- one class ----------------------------------------------------------------------------------------- */

/* What the node's builder looked at to choose a tile; `sum`: the node that adds its partial sums up, or NULL. */
static struct vka_matmul_shape shape_of(const struct vka_graph *g, const struct vka_node *node, const struct vka_node *sum,
                                        bool f16)
{
    const struct vka_matmul_params *p = vka_matmul_of(node);
    const struct vka_tensor_info *x = vka_info(g, node->in[VKA_MATMUL_X]), *out = vka_info(g, node->out[0]);
    uint32_t pixels = p->kernel ? out->h * out->w : x->h * x->w;
    return (struct vka_matmul_shape){.x = x->dtype,
                                     .storage = f16 ? VKA_F16 : VKA_F32,
                                     .weight = vka_info(g, node->in[VKA_MATMUL_WEIGHT])->dtype,
                                     .clip = x->domain == VKA_SAMPLE,
                                     .conv = p->kernel != 0,
                                     .geglu = (sum ? vka_matmul_of(sum)->act : p->act) == VKA_ACT_GEGLU,
                                     .pixels = pixels,
                                     .rows = x->domain == VKA_GLOBAL ? x->n * pixels : 0,
                                     .k = p->k,
                                     .n = p->n};
}

static json_t *tried(json_t *list, const struct vka_matmul_tile *tile, const char *status, double ms)
{
    json_t *row = json_pack("{s:i, s:i, s:i, s:s}", "tile", tile->id, "rows", tile->rows, "columns", tile->columns, "status",
                            status);
    if (ms > 0)
        json_object_set_new(row, "ms", json_real(ms));
    json_array_append_new(list, row);
    return row;
}

static void defect(struct bench_run *r, const char *name, uint32_t tile, uint32_t other)
{
    if (!r->failed)
        snprintf(r->failure, sizeof r->failure, "%.120s: tile %u leaves other bits than tile %u", name, tile, other);
    r->failed = true;
    bench_note(r, "  DEFECT: %s: tile %u leaves other bits than tile %u", name, tile, other);
}

/* Candidates against tiles[0]; *best is the fastest, `ms` of each that was timed, else 0. */
static vka_status compete(struct trial *t, const struct bench_shape *shape, const struct vka_matmul_tile *tiles, uint32_t count,
                          double until, json_t *list, uint32_t *best, double ms[TILES], vka_error *err)
{
    double once = 0;
    *best = 0;
    vka_status s = run_tile(t, &tiles[0], &once, err);
    if (s == VKA_OK) {
        memcpy(t->want, t->got, t->bytes);
        s = run_tile(t, &tiles[0], &once, err);
    }
    if (s == VKA_OK)
        s = sample(t, &ms[0], err);
    if (s != VKA_OK)
        return s;
    if (memcmp(t->want, t->got, t->bytes) != 0) { /* a race: nothing can be compared */
        defect(t->r, shape->name, tiles[0].id, tiles[0].id);
        tried(list, &tiles[0], "other bits", ms[0]);
        return VKA_OK;
    }
    tried(list, &tiles[0], "timed", ms[0]);
    for (uint32_t i = 1; s == VKA_OK && i < count && vka_now() < until; i++) {
        vka_error why = {0};
        s = run_tile(t, &tiles[i], &once, &why);
        if (s != VKA_OK && s != VKA_E_STOPPED && s != VKA_E_LOST) { /* the driver does not take it: the tile's matter */
            json_object_set_new(tried(list, &tiles[i], "refused", 0), "why", json_string(why.what));
            s = VKA_OK;
            continue;
        }
        if (s != VKA_OK) {
            *err = why;
            return s;
        }
        if (memcmp(t->want, t->got, t->bytes) != 0) {
            defect(t->r, shape->name, tiles[i].id, tiles[0].id);
            tried(list, &tiles[i], "other bits", 1e3 * once);
            continue;
        }
        if (once > 0 && 1e3 * once > clearly * ms[*best]) {
            tried(list, &tiles[i], "slower", 1e3 * once);
            continue;
        }
        s = sample(t, &ms[i], err);
        if (s == VKA_OK)
            tried(list, &tiles[i], "timed", ms[i]);
        if (s == VKA_OK && ms[i] > 0 && ms[i] < ms[*best])
            *best = i;
    }
    return s;
}

/* Both once more, in turn: the lesser of two medians each. */
static vka_status confirm(struct trial *t, const struct vka_matmul_tile *first, const struct vka_matmul_tile *best,
                          double ms[2], vka_error *err)
{
    vka_status s = VKA_OK;
    ms[0] = ms[1] = HUGE_VAL;
    for (int i = 0; s == VKA_OK && i < 4; i++) {
        double now = 0;
        s = run_tile(t, i % 2 ? best : first, &now, err);
        if (s == VKA_OK)
            s = sample(t, &now, err);
        ms[i % 2] = fmin(ms[i % 2], now);
    }
    return s;
}

static void keep(struct vka_kernel_table *table, uint32_t class, uint32_t tile)
{
    if (table->tuned_count < VKA_TUNED)
        table->tuned[table->tuned_count++] = (struct vka_tuned){class, tile};
}

/* The table without what an earlier tuner chose for the class. */
static struct vka_kernel_table without(const struct vka_kernel_table *table, uint32_t class)
{
    struct vka_kernel_table t = *table;
    t.tuned_count = 0;
    for (uint32_t i = 0; i < table->tuned_count; i++)
        if (table->tuned[i].shape_class != class)
            t.tuned[t.tuned_count++] = table->tuned[i];
    return t;
}

static vka_status tune_class(struct bench_run *r, const struct bench_network *n, const struct bench_shape *shape,
                             const struct vka_kernel_table *built, uint32_t class, const struct vka_matmul_tile *tiles,
                             uint32_t count, double share, double until, json_t *rows, vka_error *err)
{
    struct trial t = {.r = r};
    uint32_t best = 0;
    double round[TILES] = {0}, ms[2] = {0};
    json_t *list = json_array();
    vka_status s = bench_unit_open(&t.unit, r->gpu, &r->pool, bench_graph(n), shape->node, built, &r->ticker, err);
    if (s == VKA_E_MEMORY) { /* nothing is known of it then */
        bench_note(r, "  %s: does not fit", shape->name);
        vka_error_clear(err);
        json_decref(list);
        return VKA_OK;
    }
    if (s == VKA_OK) {
        t.node = &t.unit.graph->nodes[0]; /* the product; what adds partial sums up is behind it */
        s = allocate(&t, err);
    }
    if (s == VKA_OK)
        s = compete(&t, shape, tiles, count, until, list, &best, round, err);
    if (s == VKA_OK && best)
        s = confirm(&t, &tiles[0], &tiles[best], ms, err);
    close_trial(&t);
    if (s == VKA_OK) {
        bool faster = best && round[0] > worth * round[best] && ms[0] > worth * ms[1];
        json_t *row = json_pack("{s:s, s:s, s:I, s:f, s:i, s:i, s:b, s:O}", "name", shape->name, "operator", shape->op, "class",
                                (json_int_t)class, "share", share, "default", tiles[0].id, "tile",
                                faster ? tiles[best].id : tiles[0].id, "kept", faster, "tried", list);
        if (best) {
            json_object_set_new(row, "default_ms", json_real(ms[0]));
            json_object_set_new(row, "ms", json_real(ms[1]));
            json_object_set_new(row, "gain", json_real(ms[0] / ms[1] - 1));
        }
        json_array_append_new(rows, row);
        r->table = without(&r->table, class);
        if (faster)
            keep(&r->table, class, tiles[best].id);
        const struct vka_matmul_tile *taken = &tiles[faster ? best : 0];
        bench_note(r, "  %s (%.1f %% of the FLOP): tile %u, %u x %u; %.1f %% faster than the default", shape->name, 100 * share,
                   taken->id, taken->rows, taken->columns, faster ? 100 * (ms[0] / ms[1] - 1) : 0.0);
    }
    json_decref(list);
    return s;
}

/* The tiles worth a try; the first stays the first. */
static uint32_t candidates(const struct bench_run *r, const struct vka_matmul_shape *shape, const struct vka_kernel_table *table,
                           struct vka_matmul_tile tiles[TILES])
{
    uint32_t offered = vka_matmul_tiles(table, shape, tiles, TILES), count = 0;
    for (uint32_t i = 0; i < offered && i < TILES; i++)
        if (i == 0 || !r->info.cpu || tiles[i].rows * tiles[i].columns / tiles[i].threads <= MOST_SUMS_CPU)
            tiles[count++] = tiles[i];
    return count;
}

/* ---- all of them ------------------------------------------------------------------------------------------ */

static bool seen(uint32_t *classes, uint32_t *count, uint32_t class)
{
    for (uint32_t i = 0; i < *count; i++)
        if (classes[i] == class)
            return true;
    classes[(*count)++] = class;
    return false;
}

vka_status bench_tune(struct bench_run *r, double seconds, vka_error *err)
{
    const double until = vka_now() + (seconds > 0 ? seconds : r->options->quick ? 10 : 40);
    struct vka_kernel_table built = r->table; /* the default tiles: the network is not built again for each winner */
    struct bench_network n;
    uint32_t classes[VKA_TUNED], count = 0, left = 0;
    double flop = 0, bytes = 0;
    json_t *rows = json_array();
    built.tuned_count = 0;
    vka_status s = bench_network_open(&n, &r->model, &r->size, &built, err);
    if (s == VKA_OK)
        bench_network_cost(&n, &flop, &bytes);
    for (uint32_t i = 0; s == VKA_OK && i < n.count && count < VKA_TUNED; i++) {
        const struct bench_shape *shape = &n.shapes[i];
        const struct vka_node *node = &bench_graph(&n)->nodes[shape->node];
        struct vka_matmul_tile tiles[TILES];
        if (node->op != &vka_op_linear && node->op != &vka_op_conv)
            continue;
        const struct vka_node *sum = shape->sum < 0 ? NULL : &bench_graph(&n)->nodes[shape->sum];
        const struct vka_matmul_shape facts = shape_of(bench_graph(&n), node, sum, r->size.f16);
        uint32_t class = vka_matmul_class(&facts), offered = candidates(r, &facts, &built, tiles);
        double share = flop > 0 ? shape->flop * shape->count / flop : 0;
        if (offered < 2 || tiles[0].id != vka_matmul_of(node)->tile.id || share < least_share || seen(classes, &count, class))
            continue;
        if (vka_now() > until)
            left++;
        else
            s = tune_class(r, &n, shape, &built, class, tiles, offered, share, until, rows, err);
    }
    bench_network_close(&n);
    json_object_set_new(r->results, "tuned", rows);
    if (s != VKA_OK && s != VKA_E_STOPPED)
        return s;
    if (count == 0)
        bench_note(r, "tuning: on this path there is nothing to choose");
    else if (left)
        bench_note(r, "tuning: %u classes were left as they were, the time was over", left);
    vka_error kept = {0};
    if (count && vka_kernels_keep_tuned(&r->info, &r->table, &kept) != VKA_OK)
        bench_note(r, "tuning: not kept for later runs: %s", kept.what);
    return s;
}
