/* test_windows.c - context windows and merges against tests/golden/windows.json (made by tests/reference/make_window_tables.py
 * from the rules in words), their properties over every clip length to 200 and over 20,000 drawn settings, loops. */
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

static struct vka_window_params plain(uint32_t length, uint32_t stride, uint32_t overlap)
{
    return (struct vka_window_params){.length = length, .stride = stride, .overlap = overlap};
}

static struct vka_window_params params(const json_t *object)
{
    struct vka_window_params p = plain(whole(object, "length"), whole(object, "stride"), whole(object, "overlap"));
    const char *schedule = json_string_value(json_object_get(object, "schedule"));
    const char *merge = json_string_value(json_object_get(object, "merge"));
    vka_error err = {0};
    if (schedule)
        assert_int_equal(vka_window_schedule_from_name(schedule, &p.schedule, &err), VKA_OK);
    if (merge)
        assert_int_equal(vka_window_merge_from_name(merge, &p.merge, &err), VKA_OK);
    p.looped = json_is_true(json_object_get(object, "looped"));
    p.closed = json_is_true(json_object_get(object, "closed"));
    p.seed = (uint64_t)json_integer_value(json_object_get(object, "seed"));
    return p;
}

static void make(struct vka_windows *w, const struct vka_window_params *p, uint32_t frames, uint32_t step)
{
    vka_error err = {0};
    if (vka_windows_make(w, p, frames, step, &err) != VKA_OK)
        fail_msg("%u frames, windows of %u: %s", frames, p->length, err.what);
}

static void check_case(struct vka_windows *w, const json_t *c)
{
    const json_t *want = json_object_get(c, "windows"), *shares = json_object_get(c, "weights");
    struct vka_window_params p = params(c);
    make(w, &p, whole(c, "frames"), whole(c, "step"));
    assert_int_equal(w->count, json_array_size(want));
    for (size_t k = 0; k < w->count; k++) {
        const json_t *one = json_array_get(want, k), *share = json_array_get(shares, k);
        assert_int_equal(w->length, json_array_size(one));
        for (size_t n = 0; n < w->length; n++) {
            if (w->frame[k * w->length + n] != json_integer_value(json_array_get(one, n)))
                fail_msg("%s, %u frames, length %u, stride %u, overlap %u, step %u: window %zu",
                         vka_window_schedule_name(p.schedule), w->frames, p.length, p.stride, p.overlap, whole(c, "step"), k);
            if (shares && w->weight[k * w->length + n] != (float)json_real_value(json_array_get(share, n)))
                fail_msg("%s: window %zu, place %zu has weight %g", vka_window_merge_name(p.merge), k, n,
                         (double)w->weight[k * w->length + n]);
        }
    }
}

/* Every window of the tables' cases, in order, and some weights. */
static void tables(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t least;
    } parts[] = {{"cases", 30}, {"others", 15}, {"weights", 8}};
    json_t *root = golden();
    struct vka_windows w = {0};
    for (size_t t = 0; t < sizeof parts / sizeof *parts; t++) {
        const json_t *cases = json_object_get(root, parts[t].name);
        assert_true(json_array_size(cases) >= parts[t].least);
        for (size_t i = 0; i < json_array_size(cases); i++)
            check_case(&w, json_array_get(cases, i));
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

/* ---- settings of everything, drawn as make_window_tables.py draws them ---- */

static uint64_t drawn(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(drawn(state) % n);
}

struct setting {
    struct vka_window_params p;
    uint32_t frames, step;
};

static struct setting draw_setting(uint64_t *random)
{
    struct setting s = {{.schedule = (vka_window_schedule)below(random, 5)}, 0, 0};
    s.p.merge = (vka_window_merge)below(random, 5);
    s.p.length = 1 + below(random, 32);
    s.frames = 1 + below(random, 8 * s.p.length);
    if (below(random, 8) == 0)
        s.frames = s.p.length;
    s.p.stride = 1 + below(random, 6);
    s.p.overlap = below(random, s.p.length);
    uint32_t loop = below(random, 3);
    s.step = below(random, 64);
    s.p.seed = drawn(random);
    s.p.looped = s.p.schedule == VKA_WINDOWS_UNIFORM && loop > 0;
    s.p.closed = s.p.looped && loop == 2;
    return s;
}

/* Every frame covered; shares that make 1, and are 1 where there is one window; a frame no more than once in a window,
 * but where a wrapping one goes round the clip more than once, and then with one share. */
static void check_drawn(const struct vka_windows *w, const struct setting *s, uint32_t *in, double *total)
{
    memset(total, 0, w->frames * sizeof *total);
    memset(in, 0, w->frames * sizeof *in);
    for (uint32_t k = 0; k < w->count; k++)
        for (uint32_t n = 0; n < w->length; n++) {
            uint32_t at = k * w->length + n, f = (uint32_t)w->frame[at];
            bool again = false;
            for (uint32_t later = n + 1; later < w->length; later++)
                again = again || w->frame[at + later - n] == w->frame[at];
            assert_true(f < w->frames && w->weight[at] >= 0 && w->weight[at] <= 1);
            assert_true(!again || (s->p.schedule == VKA_WINDOWS_UNIFORM && w->weight[at] == 0));
            assert_true(n == 0 || w->frame[at] > w->frame[at - 1] || s->p.schedule == VKA_WINDOWS_UNIFORM);
            in[f] += !again;
            total[f] += (double)w->weight[at];
            if (w->hits[f] == 1 && !again)
                assert_true(w->weight[at] == 1);
        }
    for (uint32_t f = 0; f < w->frames; f++)
        if (!in[f] || in[f] != w->hits[f] || fabs(total[f] - 1) > 1e-6)
            fail_msg("%s, %s, frame %u of %u in %u windows of %u, shares sum to %.9g", vka_window_schedule_name(s->p.schedule),
                     vka_window_merge_name(s->p.merge), f, w->frames, in[f], w->length, total[f]);
}

static uint64_t hash_drawn(uint64_t h, const struct vka_windows *w, uint32_t step)
{
    h = fnv(fnv(fnv(h, w->frames), step), w->count);
    for (uint32_t i = 0; i < w->count * w->length; i++)
        h = fnv(h, (uint32_t)w->frame[i]);
    for (uint32_t i = 0; i < w->count * w->length; i++) {
        uint32_t bits;
        memcpy(&bits, &w->weight[i], sizeof bits);
        h = fnv(h, bits);
    }
    return h;
}

static void settings_of_everything(void **state)
{
    (void)state;
    json_t *root = golden(), *rows = json_object_get(root, "drawn");
    uint32_t block = whole(root, "block"), in[256];
    double total[256];
    struct vka_windows w = {0};
    uint64_t random = 7, rotated = 0, twice = 0;
    assert_true(block * json_array_size(rows) == 20000);
    for (size_t b = 0; b < json_array_size(rows); b++) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        char hash[9];
        for (uint32_t i = 0; i < block; i++) {
            struct setting s = draw_setting(&random);
            make(&w, &s.p, s.frames, s.step);
            check_drawn(&w, &s, in, total);
            h = hash_drawn(h, &w, s.step);
            rotated += s.frames == s.p.length && w.frame[0] != 0;
            twice += (uint64_t)s.p.length << (s.p.stride - 1) > 2 * s.frames && s.p.schedule == VKA_WINDOWS_UNIFORM;
        }
        snprintf(hash, sizeof hash, "%08lx", (unsigned long)((h ^ h >> 32) & 0xffffffffu));
        if (strcmp(hash, json_string_value(json_array_get(rows, b))) != 0)
            fail_msg("settings %zu to %zu have hash %s", b * block, (b + 1) * block - 1, hash);
    }
    assert_true(rotated > 100 && twice > 100);
    vka_windows_free(&w);
    json_decref(root);
}

/* ---- loops ---- */

/* Windows of a closed loop in any step are those of pad 0 turned by that step's pad: no place of the clip is its end.  So a
 * clip that is turned by that much has the same predictions; merges too, which know no end then. */
static void closed_loops_turn(void **state)
{
    (void)state;
    uint64_t random = 11;
    struct vka_windows w = {0};
    for (uint32_t i = 0; i < 5000; i++) {
        struct setting s = draw_setting(&random);
        s.p.schedule = VKA_WINDOWS_UNIFORM;
        s.p.looped = s.p.closed = true;
        if (s.frames < s.p.length)
            s.frames += s.p.length;
        double o = 0;
        for (uint32_t bit = 0; bit < 32; bit++)
            o += (s.step >> bit & 1) * pow(0.5, bit + 1);
        uint32_t pad = (uint32_t)nearbyint(s.frames * o), k = 0, crossing = 0, levels = 1;
        while (levels < s.p.stride && s.p.length << (levels - 1) < s.frames)
            levels++;
        make(&w, &s.p, s.frames, s.step);
        for (uint32_t level = 0; level < levels; level++)
            for (uint32_t j = (uint32_t)floor(o * (1u << level)); j < s.frames; j += (s.p.length << level) - s.p.overlap, k++) {
                assert_true(k < w.count);
                for (uint32_t n = 0; n < w.length; n++)
                    assert_int_equal(w.frame[k * w.length + n], (j + (n << level) + pad) % s.frames);
                crossing += j + w.length > s.frames;
            }
        assert_int_equal(k, w.count);
        assert_true(crossing || s.p.length == 1 || s.frames % (s.p.length - s.p.overlap) == 0);
    }
    /* the same shares, turned: steps 0 and 1 of an even clip without wide windows are half a turn apart */
    for (int merge = VKA_MERGE_FLAT; merge < VKA_MERGE_LAST; merge++) {
        struct vka_window_params p = {8, 1, 3, VKA_WINDOWS_UNIFORM, (vka_window_merge)merge, true, true, 0};
        struct vka_windows first = {0};
        make(&first, &p, 26, 0);
        make(&w, &p, 26, 1);
        assert_int_equal(first.count, w.count);
        assert_memory_equal(first.weight, w.weight, w.count * w.length * sizeof *w.weight);
        vka_windows_free(&first);
    }
    vka_windows_free(&w);
}

/* A loop that is one window long is turned by that window's pad; a shorter one, or one that does not loop, is not split. */
static void splits(void **state)
{
    (void)state;
    struct vka_window_params p = {8, 1, 2, VKA_WINDOWS_UNIFORM, VKA_MERGE_FLAT, true, false, 0};
    struct vka_windows w = {0};
    assert_true(vka_windows_split(&p, 9) && vka_windows_split(&p, 8) && !vka_windows_split(&p, 7));
    make(&w, &p, 8, 1);
    assert_true(w.count == 1 && w.frame[0] == 4 && w.frame[7] == 3);
    p.looped = false;
    assert_true(vka_windows_split(&p, 9) && !vka_windows_split(&p, 8));
    make(&w, &p, 8, 1);
    assert_true(w.count == 1 && w.frame[0] == 0);
    p.length = 0;
    assert_false(vka_windows_split(&p, 9));
    vka_windows_free(&w);
}

/* The order of a step depends on seed and step, and on nothing else. */
static void shuffles(void **state)
{
    (void)state;
    struct vka_window_params p = {8, 1, 0, VKA_WINDOWS_SHUFFLE, VKA_MERGE_FLAT, false, false, 5};
    struct vka_windows a = {0}, b = {0};
    make(&a, &p, 40, 3);
    make(&b, &p, 40, 4);
    assert_memory_not_equal(a.frame, b.frame, 40 * sizeof *a.frame);
    p.seed = 6;
    make(&b, &p, 40, 3);
    assert_memory_not_equal(a.frame, b.frame, 40 * sizeof *a.frame);
    p.seed = 5;
    p.overlap = 3;
    make(&b, &p, 40, 3);
    assert_int_equal(b.count, 5);
    assert_memory_equal(a.frame, b.frame, 40 * sizeof *a.frame);
    vka_windows_free(&a);
    vka_windows_free(&b);
}

/* Long clips and late steps: nothing overflows, every frame is covered, no more windows than the overlap asks for. */
static void long_clips(void **state)
{
    (void)state;
    static const uint32_t frames[] = {1000, 10000, 65535}, steps[] = {0, 1, 7, 24, 499, 999};
    struct vka_windows w = {0};
    for (size_t i = 0; i < 3; i++)
        for (size_t s = 0; s < 6; s++) {
            const struct vka_window_params p = plain(16, 1, 4), wide = plain(16, 64, 4);
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

static void names(void **state)
{
    (void)state;
    vka_window_schedule schedule;
    vka_window_merge merge;
    vka_loop loop;
    vka_error err = {0};
    for (int i = 0; i <= VKA_WINDOWS_SHUFFLE; i++) {
        assert_int_equal(vka_window_schedule_from_name(vka_window_schedule_name((vka_window_schedule)i), &schedule, &err), VKA_OK);
        assert_int_equal(schedule, i);
    }
    for (int i = 0; i <= VKA_MERGE_LAST; i++) {
        assert_int_equal(vka_window_merge_from_name(vka_window_merge_name((vka_window_merge)i), &merge, &err), VKA_OK);
        assert_int_equal(merge, i);
    }
    for (int i = 0; i <= VKA_LOOP_ALWAYS; i++) {
        assert_int_equal(vka_loop_from_name(vka_loop_name((vka_loop)i), &loop, &err), VKA_OK);
        assert_int_equal(loop, i);
    }
    assert_string_equal(vka_window_schedule_name(VKA_WINDOWS_UNIFORM_STANDARD), "uniform-standard");
    assert_string_equal(vka_window_merge_name(VKA_MERGE_OVERLAP_LINEAR), "overlap-linear");
    assert_string_equal(vka_loop_letters(VKA_LOOP_FULL), "R+P");
    assert_int_equal(vka_window_merge_from_name("round", &merge, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "unknown"));
    err = (vka_error){0};
    assert_int_equal(vka_window_schedule_from_name("", &schedule, &err), VKA_E_USAGE);
    assert_int_equal(vka_loop_from_name("on", &loop, &err), VKA_E_USAGE);
}

static void out_of_range(void **state)
{
    (void)state;
    const struct {
        struct vka_window_params p;
        uint32_t frames;
    } bad[] = {{plain(0, 1, 0), 8},
               {plain(4, 0, 0), 8},
               {plain(4, 1, 4), 8},
               {plain(4, 1, 5), 8},
               {plain(4, 1, 0), 0},
               {{.length = 4, .stride = 1, .looped = true}, 8},
               {{.length = 4, .stride = 1, .schedule = VKA_WINDOWS_STATIC, .closed = true}, 8}};
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
        cmocka_unit_test(tables),   cmocka_unit_test(sweep),  cmocka_unit_test(settings_of_everything),
        cmocka_unit_test(splits),  cmocka_unit_test(closed_loops_turn),
        cmocka_unit_test(shuffles), cmocka_unit_test(names),  cmocka_unit_test(long_clips),
        cmocka_unit_test(out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
