/* gemm.c - the project's own matrix product at a size of no network: a graph of one linear layer, as a bench unit.
 * See probe.h. */
#include "probe.h"

#include "ops/ops.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 2 }; /* pictures, of many rows each: the product is big in every sense */

struct numbers {
    uint16_t *halves;
    uint64_t rows, columns;
};

static bool find(void *user, const char *name, struct vka_weight_data *out)
{
    const struct numbers *n = user;
    if (strcmp(name, "gemm.weight") != 0)
        return false;
    if (out)
        *out = (struct vka_weight_data){.name = "gemm.weight",
                                        .data = n->halves,
                                        .dtype = VKA_WEIGHT_F16,
                                        .rank = 2,
                                        .dims = {n->rows, n->columns}};
    return true;
}

static void to_f32(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out)
{
    (void)user;
    vka_dtype_to_f32(out, (const uint16_t *)w->data + first, VKA_WEIGHT_F16, (size_t)count);
}

/* The numbers of the operands do not matter to the time, but to the check: the model's pool serves as the weight, round
 * and round where it is too short. */
static uint16_t *draw(const struct bench_run *r, uint64_t count)
{
    uint16_t *h = count <= SIZE_MAX / sizeof *h ? malloc((size_t)count * sizeof *h) : NULL;
    for (uint64_t i = 0; h && i < count; i++)
        h[i] = r->model.numbers[(i * 7 + i / 4099) % (1u << 20)];
    return h;
}

vka_status bench_gemm(struct bench_run *r, uint32_t m, uint32_t n, uint32_t k, struct bench_samples *out,
                      struct bench_verdict *verdict, vka_error *err)
{
    enum vka_dtype storage = r->size.f16 ? VKA_F16 : VKA_F32;
    struct numbers numbers = {draw(r, (uint64_t)n * k), n, k};
    struct bench_unit u = {0};
    struct vka_graph *g = vka_graph_create("gemm", 1, SAMPLES);
    vka_build b = {
        .graph = g, .source = {&numbers, find, to_f32}, .storage = storage, .weights = storage, .table = &r->table};
    vka_status s = g && numbers.halves ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (s == VKA_OK) {
        vka_tensor x = vka_graph_tensor(&b, "x", VKA_SAMPLE, VKA_INPUT, storage, 0, m / SAMPLES, 1, k);
        vka_tensor y = vka_linear(&b, x, &(struct vka_linear_args){.at = vka_scope_root("gemm"), .no_bias = true});
        vka_graph_output(&b, y);
        s = vka_build_finish(&b, &x, 1, err);
    }
    if (s == VKA_OK)
        s = bench_unit_open(&u, r->gpu, &r->pool, g, 0, &r->table, &r->ticker, err);
    if (s == VKA_OK)
        s = bench_unit_check(&u, 1, verdict, err);
    if (s == VKA_OK)
        s = bench_unit_time(&u, &r->sampling, &r->ticker, out, err);
    bench_unit_close(&u);
    vka_graph_destroy(&g);
    free(numbers.halves);
    return s;
}
