/* test_control_spec.c - what --control says: its keys, values that hold commas, frames of SparseCtrl's pictures, factors of outputs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "render/setup_control.h"

#include <math.h>
#include <string.h>

static void same(const char *a, const char *b)
{
    if (b)
        assert_string_equal(a, b);
    else
        assert_null(a);
}

static void what_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path, *source, *weight, *frames;
        double start, end;
        enum vka_control_mode mode;
        enum vka_control_process process;
        bool sample;
    } cases[] = {
        {"canny", "canny", NULL, NULL, NULL, 0, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, false},
        {"a,b.pth,c", "a,b.pth,c", NULL, NULL, NULL, 0, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, false},
        {"/x/y z.safetensors,source=/p,q/%05d.png", "/x/y z.safetensors", "/p,q/%05d.png", NULL, NULL, 0, 1, VKA_CONTROL_BALANCED,
         VKA_PROCESS_NONE, false},
        {"n,weight=0:1, 8:0.5,end=0.75,mode=control", "n", NULL, "0:1, 8:0.5", NULL, 0, 0.75, VKA_CONTROL_CONTROL, VKA_PROCESS_NONE, false},
        {"n,weight=1, 0.5, 0.25,start=0.5", "n", NULL, "1, 0.5, 0.25", NULL, 0.5, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, false},
        {"n,mode=prompt,process=soft-edge,source=v.mp4", "n", "v.mp4", NULL, NULL, 0, 1, VKA_CONTROL_PROMPT, VKA_PROCESS_SOFT_EDGE, false},
        {"s,frames=0;8;-1,encode=sample,weight=-0.5", "s", NULL, "-0.5", "0;8;-1", 0, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, true},
        {"sourced,sources=x", "sourced,sources=x", NULL, NULL, NULL, 0, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, false},
        {"n,source=a,b=c,end=1", "n", "a,b=c", NULL, NULL, 0, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, false},
        {"n,source=./previous", "n", "./previous", NULL, NULL, 0, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, false},
        {"n,source=previous,end=1", "n", NULL, NULL, NULL, 0, 1, VKA_CONTROL_BALANCED, VKA_PROCESS_NONE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vka_control_spec s;
        vka_error err = {0};
        if (vka_control_spec_parse(&s, cases[i].text, &err) != VKA_OK)
            fail_msg("%s: %s", cases[i].text, err.what);
        assert_string_equal(s.path, cases[i].path);
        same(s.source, cases[i].source);
        same(s.weight, cases[i].weight);
        same(s.frames, cases[i].frames);
        assert_true(fabs(s.start - cases[i].start) < 1e-12 && fabs(s.end - cases[i].end) < 1e-12);
        assert_int_equal(s.mode, cases[i].mode);
        assert_int_equal(s.process, cases[i].process);
        assert_int_equal(s.sample, cases[i].sample);
        assert_int_equal(s.previous, strstr(cases[i].text, "=previous") != NULL);
        vka_control_spec_free(&s);
    }
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "needs the path"},          {",weight=1", "needs the path"},      {"n,weight=", "nothing behind"},
        {"n,weight=x", "weight"},        {"n,weight=11", "weight"},            {"n,start=2", "start=2 is not a share"},
        {"n,end=x", "end=x is not"},     {"n,end=", "end= is not"},            {"n,mode=more", "balanced, prompt or control"},
        {"n,process=depth", "canny"},    {"n,encode=median", "mean or sample"}, {"n,end=1,end=0", "'end' is there twice"},
        {"n,source=", "nothing behind"}, {"n,frames=,mode=prompt", "nothing behind"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vka_control_spec s;
        vka_error err = {0};
        assert_int_equal(vka_control_spec_parse(&s, cases[i][0], &err), VKA_E_USAGE);
        if (!strstr(err.what, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], err.what);
        vka_control_spec_free(&s);
    }
}

static void frames_of_pictures(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        uint32_t frames, pictures, count, want[5];
        vka_status status;
    } cases[] = {
        {NULL, 16, 1, 1, {0}, VKA_OK},
        {NULL, 16, 2, 2, {0, 15}, VKA_OK},
        {NULL, 16, 3, 3, {0, 8, 15}, VKA_OK},
        {NULL, 5, 5, 5, {0, 1, 2, 3, 4}, VKA_OK},
        {NULL, 1, 3, 1, {0}, VKA_OK},
        {"0;8;-1", 16, 3, 3, {0, 8, 15}, VKA_OK},
        {"-16", 16, 4, 1, {0}, VKA_OK},
        {"7", 8, 1, 1, {7}, VKA_OK},
        {"8", 8, 1, 0, {0}, VKA_E_USAGE},
        {"-9", 8, 1, 0, {0}, VKA_E_USAGE},
        {"0;8", 16, 1, 0, {0}, VKA_E_INPUT},
        {"3;-13", 16, 2, 0, {0}, VKA_E_USAGE},
        {"3;", 16, 2, 0, {0}, VKA_E_USAGE},
        {"", 16, 2, 0, {0}, VKA_E_USAGE},
        {"3,4", 16, 2, 0, {0}, VKA_E_USAGE},
        {"--3", 16, 2, 0, {0}, VKA_E_USAGE},
        {"99999999999999999999", 16, 2, 0, {0}, VKA_E_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[5] = {0}, count;
        vka_error err = {0};
        vka_status s = vka_control_frames(cases[i].list, cases[i].frames, cases[i].pictures, out, &count, &err);
        if (s != cases[i].status)
            fail_msg("%s: %d, %s", cases[i].list ? cases[i].list : "-", (int)s, err.what);
        if (s != VKA_OK) {
            assert_true(err.what[0] != '\0');
            continue;
        }
        assert_int_equal(count, cases[i].count);
        assert_memory_equal(out, cases[i].want, count * sizeof *out);
    }
}

static void factors(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 13; i++) {
        assert_true(vka_control_layer(VKA_CONTROL_BALANCED, i, 13) >= 1 && vka_control_layer(VKA_CONTROL_BALANCED, i, 13) <= 1);
        for (int m = VKA_CONTROL_PROMPT; m <= VKA_CONTROL_CONTROL; m++)
            assert_true(fabs((double)vka_control_layer((enum vka_control_mode)m, i, 13) - pow(0.825, 12 - (int)i)) < 1e-7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_read), cmocka_unit_test(what_is_refused),
                                       cmocka_unit_test(frames_of_pictures), cmocka_unit_test(factors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
