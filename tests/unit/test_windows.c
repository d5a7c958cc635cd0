/* test_windows.c - context windows against tests/golden/windows.json (made by tests/reference/make_window_tables.py
 * from the rule in words), their properties over every clip length to 200, and the merge. */
#include "sample/windows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static json_t *golden(void)
{
    json_error_t e;
    json_t *root = json_load_file(VKA_TEST_DATA "/golden/windows.json", 0, &e);
    assert_non_null(root);
    return root;
}

static uint32_t whole(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    assert_true(json_is_integer(v));
    return (uint32_t)json_integer_value(v);
}

static struct vka_window_params params(const json_t *object)
{
    return (struct vka_window_params){whole(object, "length"), whole(object, "stride"), whole(object, "overlap")};
}

static void make(struct vka_windows *w, const struct vka_window_params *p, uint32_t frames, uint32_t step)
{
    vka_error err = {0};
    if (vka_windows_make(w, p, frames, step, &err) != VKA_OK)
        fail_msg("%u frames, windows of %u: %s", frames, p->length, err.what);
}

/* Every window of the table's cases, in order. */
static void tables(void **state)
{
    (void)state;
    json_t *root = golden(), *cases = json_object_get(root, "cases");
    struct vka_windows w = {0};
    assert_true(json_array_size(cases) >= 30);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *want = json_object_get(c, "windows");
        struct vka_window_params p = params(c);
        make(&w, &p, whole(c, "frames"), whole(c, "step"));
        assert_int_equal(w.count, json_array_size(want));
        for (size_t k = 0; k < w.count; k++) {
            const json_t *one = json_array_get(want, k);
            assert_int_equal(w.length, json_array_size(one));
            for (size_t n = 0; n < w.length; n++)
                if (w.frame[k * w.length + n] != json_integer_value(json_array_get(one, n)))
                    fail_msg("%u frames, length %u, stride %u, overlap %u, step %u: window %zu", w.frames, p.length,
                             p.stride, p.overlap, whole(c, "step"), k);
        }
    }
    vka_windows_free(&w);
    json_decref(root);
}

static uint64_t fnv(uint64_t h, uint32_t word)
{
    for (int i = 0; i < 32; i += 8)
        h = (h ^ (word >> i & 255)) * 0x100000001b3u;
    return h;
}

/* What every set of windows is: frames in range, ascending, no window twice, every frame covered, counts right. */
static void check_set(const struct vka_windows *w, uint32_t *count)
{
    memset(count, 0, w->frames * sizeof *count);
    for (uint32_t k = 0; k < w->count; k++)
        for (uint32_t n = 0; n < w->length; n++) {
            int32_t f = w->frame[k * w->length + n];
            assert_true(f >= 0 && (uint32_t)f < w->frames);
            assert_true(n == 0 || f > w->frame[k * w->length + n - 1]);
            count[f]++;
        }
    for (uint32_t f = 0; f < w->frames; f++) {
        if (!count[f])
            fail_msg("frame %u of %u is in no window of %u", f, w->frames, w->length);
        assert_int_equal(count[f], w->hits[f]);
    }
    for (uint32_t a = 0; a < w->count; a++)
        for (uint32_t b = 0; b < a; b++)
            assert_memory_not_equal(w->frame + a * w->length, w->frame + b * w->length, w->length * sizeof *w->frame);
}

/* Every length, stride and overlap of the table over all clips and steps, by hash. */
static void sweep(void **state)
{
    (void)state;
    json_t *root = golden(), *rows = json_object_get(root, "sweep");
    uint32_t frames = whole(root, "frames"), steps = whole(root, "steps"), count[256];
    struct vka_windows w = {0};
    assert_true(frames == 200 && json_array_size(rows) >= 16);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct vka_window_params p = params(row);
        uint64_t h = 0xcbf29ce484222325u, windows = 0;
        char hash[17];
        for (uint32_t f = 1; f <= frames; f++)
            for (uint32_t s = 0; s < steps; s++) {
                make(&w, &p, f, s);
                check_set(&w, count);
                if (f <= p.length)
                    assert_true(w.count == 1 && w.length == f);
                h = fnv(fnv(fnv(h, f), s), w.count);
                for (uint32_t k = 0; k < w.count * w.length; k++)
                    h = fnv(h, (uint32_t)w.frame[k]);
                windows += w.count;
            }
        snprintf(hash, sizeof hash, "%08lx%08lx", (unsigned long)(h >> 32), (unsigned long)(h & 0xffffffffu));
        if (windows != whole(row, "windows") || strcmp(hash, json_string_value(json_object_get(row, "hash"))) != 0)
            fail_msg("length %u, stride %u, overlap %u: %llu windows, hash %s", p.length, p.stride, p.overlap,
                     (unsigned long long)windows, hash);
    }
    vka_windows_free(&w);
    json_decref(root);
}

/* Long clips and late steps: nothing overflows, every frame is covered, no more windows than the overlap asks for. */
static void long_clips(void **state)
{
    (void)state;
    static const uint32_t frames[] = {1000, 10000, 65535}, steps[] = {0, 1, 7, 24, 499, 999};
    struct vka_windows w = {0};
    for (size_t i = 0; i < 3; i++)
        for (size_t s = 0; s < 6; s++) {
            const struct vka_window_params p = {16, 1, 4}, wide = {16, 64, 4};
            make(&w, &p, frames[i], steps[s]);
            assert_true(w.count <= frames[i] / 12 + 3);
            for (uint32_t f = 0; f < frames[i]; f++)
                assert_true(w.hits[f] >= 1 && w.hits[f] <= 4);
            make(&w, &wide, frames[i], steps[s]);
            for (uint32_t f = 0; f < frames[i]; f++)
                assert_true(w.hits[f] >= 1);
        }
    vka_windows_free(&w);
}

/* A frame's predictions are summed in fp32 in the order of the windows, and divided; a single one keeps every bit. */
static void merge(void **state)
{
    (void)state;
    enum { F = 11, L = 4, N = 3 };
    const struct vka_window_params p = {L, 2, 2};
    struct vka_windows w = {0};
    make(&w, &p, F, 3);
    float sum[F * N], want[F * N] = {0}, x[L * N];
    uint32_t seen[F] = {0}, count[F] = {0};
    memset(sum, 0xff, sizeof sum); /* NaN: what is there before is not looked at */
    for (uint32_t k = 0; k < w.count; k++) {
        for (uint32_t i = 0; i < L; i++)
            for (uint32_t e = 0; e < N; e++) {
                int32_t f = w.frame[k * L + i];
                x[i * N + e] = e == 2 ? -0.0f : sinf((float)(k * 100 + i * 10 + e)) * (e ? 1e6f : 1.0f);
                float *to = &want[f * N + (int32_t)e];
                *to = count[f] ? *to + x[i * N + e] : x[i * N + e];
                if (e == N - 1)
                    count[f]++;
            }
        vka_windows_add(&w, k, x, N, sum, seen);
    }
    vka_windows_mean(&w, N, sum);
    for (uint32_t i = 0; i < F * N; i++) {
        float mean = want[i] / (float)count[i / N];
        assert_memory_equal(&mean, &sum[i], sizeof mean);
    }
    assert_memory_equal(seen, w.hits, sizeof seen);
    vka_windows_free(&w);
}

static void names(void **state)
{
    (void)state;
    vka_window_schedule schedule;
    vka_window_merge merge;
    vka_error err = {0};
    assert_int_equal(vka_window_schedule_from_name("uniform-standard", &schedule, &err), VKA_OK);
    assert_string_equal(vka_window_schedule_name(schedule), "uniform-standard");
    assert_int_equal(vka_window_merge_from_name("flat", &merge, &err), VKA_OK);
    assert_string_equal(vka_window_merge_name(merge), "flat");
    assert_int_equal(vka_window_schedule_from_name("batched", &schedule, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "not built"));
    err = (vka_error){0};
    assert_int_equal(vka_window_merge_from_name("pyramid", &merge, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "not built"));
    err = (vka_error){0};
    assert_int_equal(vka_window_merge_from_name("round", &merge, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "unknown"));
    err = (vka_error){0};
    assert_int_equal(vka_window_schedule_from_name("", &schedule, &err), VKA_E_USAGE);
}

static void out_of_range(void **state)
{
    (void)state;
    static const struct {
        struct vka_window_params p;
        uint32_t frames;
    } bad[] = {{{0, 1, 0}, 8}, {{4, 0, 0}, 8}, {{4, 1, 4}, 8}, {{4, 1, 5}, 8}, {{4, 1, 0}, 0}};
    struct vka_windows w = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vka_error err = {0};
        assert_int_equal(vka_windows_make(&w, &bad[i].p, bad[i].frames, 0, &err), VKA_E_USAGE);
    }
    vka_windows_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables), cmocka_unit_test(sweep), cmocka_unit_test(long_clips),
        cmocka_unit_test(merge),  cmocka_unit_test(names), cmocka_unit_test(out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
