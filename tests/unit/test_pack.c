/* test_pack.c - packed weights: where every number of a model's tensor lies, and that everything else is zero. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "base/half.h"
#include "ops/ops.h"
#include "ops/pack.h"

#include <stdlib.h>
#include <string.h>

/* Element i of a source is 1 + i, exact in binary32 here. */
static void count_up(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out)
{
    float base = w->data ? *(const float *)w->data : 0;
    (void)user;
    for (uint64_t i = 0; i < count; i++)
        out[i] = base + 1 + (float)(first + i);
}

static const struct vka_weight_source source = {.to_f32 = count_up};

/* The packed matrix; free it. */
static void *pack(const struct vka_pack_matrix *m, uint32_t kind, uint32_t sources, enum vka_dtype dtype)
{
    static const float base[3] = {0, 1000, 2000};
    struct vka_weight_data data[3];
    struct vka_weight_recipe recipe = {.kind = kind, .sources = sources, .source = data, .from = &source};
    memcpy(recipe.p, m, sizeof *m);
    for (uint32_t i = 0; i < sources; i++)
        data[i] = (struct vka_weight_data){.name = "w", .data = &base[i]};
    struct vka_tensor_info info = {.dtype = dtype,
                                   .n = 1,
                                   .h = 1,
                                   .w = kind == VKA_PACK_BIAS ? 1 : m->k_packed,
                                   .c = m->n_packed,
                                   .pitch = m->n_packed,
                                   .name = "w",
                                   .recipe = &recipe};
    void *out = malloc(vka_tensor_bytes(&info));
    vka_error err = {0};
    assert_non_null(out);
    memset(out, 0xff, vka_tensor_bytes(&info));
    assert_int_equal(vka_pack_weight(&info, out, &err), VKA_OK);
    return out;
}

static float at(const struct vka_pack_matrix *m, const float *p, uint32_t k, uint32_t n)
{
    size_t panel = (size_t)(n / m->panel) * m->k_packed * m->panel;
    return p[panel + (size_t)(k / m->group) * m->group * m->panel + n % m->panel * m->group + k % m->group];
}

static float sum(const float *p, size_t count)
{
    float s = 0;
    for (size_t i = 0; i < count; i++)
        s += p[i];
    return s;
}

static void panels(void **state)
{
    (void)state;
    struct vka_pack_matrix m = {.panel = 4, .group = 1, .n_packed = 8, .k_packed = 16, .taps = 1, .c1 = 3, .c2 = 5, .rows = 7};
    float *p = pack(&m, VKA_PACK_MATRIX, 1, VKA_F32);
    for (uint32_t n = 0; n < 7; n++)
        for (uint32_t k = 0; k < 8; k++) /* the second input begins at the first one's pitch */
            assert_true(at(&m, p, k < 3 ? k : 8 + k - 3, n) == (float)(1 + n * 8 + k));
    assert_true(sum(p, 8 * 16) == 56 * 57 / 2);
    free(p);
}

/* The k of a column side by side, as matrix kernels take them. */
static void groups(void **state)
{
    (void)state;
    struct vka_pack_matrix m = {.panel = 4, .group = 8, .n_packed = 8, .k_packed = 24, .taps = 1, .c1 = 10, .c2 = 3, .rows = 7};
    float *p = pack(&m, VKA_PACK_MATRIX, 1, VKA_F32);
    assert_true(p[0] == 1 && p[7] == 8 && p[8] == 14);         /* columns 0 and 1 from k = 0 */
    assert_true(p[32] == 9 && p[33] == 10 && p[34] == 0);      /* k = 8, 9 and the first input's pad */
    assert_true(p[64] == 11 && p[66] == 13 && p[67] == 0);     /* the second input, at k = 16 */
    assert_true(p[96] == 4 * 13 + 1 && p[3 * 8 + 96] == 0);    /* the second panel: column 4; column 7 is nobody's */
    for (uint32_t n = 0; n < 7; n++)
        for (uint32_t k = 0; k < 13; k++)
            assert_true(at(&m, p, k < 10 ? k : 16 + k - 10, n) == (float)(1 + n * 13 + k));
    assert_true(sum(p, 8 * 24) == 91 * 92 / 2);
    free(p);
}

static void convolution(void **state)
{
    (void)state;
    struct vka_pack_matrix m = {.panel = 8, .group = 1, .n_packed = 8, .k_packed = 72, .taps = 9, .c1 = 5, .rows = 2};
    float *p = pack(&m, VKA_PACK_MATRIX, 1, VKA_F32);
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t c = 0; c < 5; c++)
            for (uint32_t tap = 0; tap < 9; tap++)
                assert_true(at(&m, p, tap * 8 + c, n) == (float)(1 + (n * 5 + c) * 9 + tap));
    assert_true(sum(p, 8 * 72) == 90 * 91 / 2);
    free(p);
}

static void heads(void **state)
{
    (void)state;
    /* three sources of 2 heads of 3 rows, in slots of 8 columns; K in 2 slots of 5 */
    struct vka_pack_matrix m = {.panel = 16,
                                .group = 1,
                                .n_packed = 48,
                                .k_packed = 16,
                                .taps = 1,
                                .c1 = 10,
                                .heads_in = 2,
                                .heads_out = 2,
                                .rows = 6,
                                .present = 5};
    assert_int_equal(vka_pack_columns(&m), 16);
    float *p = pack(&m, VKA_PACK_MATRIX, 3, VKA_F32), total = 0;
    for (uint32_t s = 0; s < 3; s++)
        for (uint32_t r = 0; r < 6; r++)
            for (uint32_t k = 0; k < 10; k++) {
                float want = (float)(s * 1000 + 1 + r * 10 + k);
                assert_true(at(&m, p, k / 5 * 8 + k % 5, s * 16 + r / 3 * 8 + r % 3) == want);
                total += want;
            }
    assert_true(sum(p, 48 * 16) == total);
    free(p);
    p = pack(&m, VKA_PACK_BIAS, 2, VKA_F32); /* the first and the third have one */
    for (uint32_t n = 0; n < 48; n++) {
        uint32_t r = n % 16 / 8 * 3 + n % 8;
        assert_true(p[n] == (n % 8 < 3 && n / 16 != 1 ? (float)(n / 32 * 1000 + 1 + r) : 0));
    }
    free(p);
}

static void gates(void **state)
{
    (void)state;
    struct vka_pack_matrix m = {.panel = 4, .group = 1, .n_packed = 16, .k_packed = 8, .taps = 1, .c1 = 2, .geglu = 1, .rows = 6};
    float *p = pack(&m, VKA_PACK_MATRIX, 1, VKA_F32);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(at(&m, p, 1, 2 * i) == (float)(2 + 2 * i));
        assert_true(at(&m, p, 1, 2 * i + 1) == (float)(2 + 2 * (i + 3)));
    }
    free(p);
}

static void halves(void **state)
{
    (void)state;
    struct vka_pack_matrix m = {.panel = 4, .group = 1, .n_packed = 4, .k_packed = 8, .taps = 1, .c1 = 8, .rows = 3};
    uint16_t *p = pack(&m, VKA_PACK_MATRIX, 1, VKA_F16);
    for (uint32_t n = 0; n < 4; n++)
        for (uint32_t k = 0; k < 8; k++)
            assert_true(vka_half_to_float(p[k * 4 + n]) == (n < 3 ? (float)(1 + n * 8 + k) : 0));
    free(p);
}

/* Rows too long for one chunk of a whole panel. */
static void long_rows(void **state)
{
    (void)state;
    uint32_t k = 300000;
    struct vka_pack_matrix m = {.panel = 8, .group = 1, .n_packed = 8, .k_packed = k, .taps = 1, .c1 = k, .rows = 8};
    float *p = pack(&m, VKA_PACK_MATRIX, 1, VKA_F32);
    for (uint32_t n = 0; n < 8; n++)
        assert_true(at(&m, p, k - 1, n) == (float)((n + 1) * k));
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(panels), cmocka_unit_test(groups), cmocka_unit_test(convolution),
                                       cmocka_unit_test(heads),  cmocka_unit_test(gates),
                                       cmocka_unit_test(halves), cmocka_unit_test(long_rows)};
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
