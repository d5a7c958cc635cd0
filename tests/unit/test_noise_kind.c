/* test_noise_kind.c - how the noise of frames is related: FreeNoise against diffusers (tests/reference/make_noise_kind.py), the
 * other kinds by what they are. */
#include "sample/noise_kind.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHANNELS = 2, HEIGHT = 3, WIDTH = 5, VALUES = CHANNELS * HEIGHT * WIDTH, MOST = 64 };

/* After a draw of 16: the first value that comes then.  `from`: the frame that each is a copy of. */
static const struct {
    uint32_t seed, length, stride, frames;
    float after;
    uint8_t from[MOST];
} cases[] = {
    {0u, 16, 4, 40, 0.345599592f, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 2, 3, 1, 5, 7, 4, 6, 8, 9, 10,
     11, 12, 15, 14, 13, 1, 0, 3, 2, 5, 7, 4, 6}},
    {42u, 16, 4, 33, 0.278244108f, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 3, 2, 0, 1, 7, 4, 6, 5, 9, 11, 10,
     8, 13, 12, 14, 15, 1}},
    {7u, 8, 8, 30, -0.156907409f, {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 3, 4, 7, 6, 5, 2, 6, 3, 5, 4, 1, 0, 7, 2, 6, 0, 3, 4, 5,
     1}},
    {123456789u, 5, 3, 12, -0.927934825f, {0, 1, 2, 3, 4, 2, 1, 0, 2, 4, 3, 0}},
    {4294967295u, 16, 12, 64, 0.692301989f, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 10, 6, 11, 0, 1, 9, 5, 4,
     8, 7, 2, 3, 0, 9, 1, 11, 5, 14, 13, 12, 15, 6, 10, 4, 5, 1, 11, 12, 7, 0, 8, 13, 9, 3, 14, 2, 10, 6, 4, 8, 13, 7, 12,
     0, 1, 11, 5, 15}},
    {1u, 16, 4, 16, -0.388436139f, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
};

static void draw(vka_noise_source *source, vka_noise_layout layout, uint32_t seed, uint32_t frames, float *out)
{
    vka_error err = {0};
    assert_int_equal(vka_noise_open(source, VKA_RNG_TORCH_CPU, layout, seed, frames, CHANNELS, HEIGHT, WIDTH, &err), VKA_OK);
    vka_noise_draw(source, out);
}

static void check_from(const float *drawn, const float *got, const uint8_t *from, uint32_t frames)
{
    for (uint32_t f = 0; f < frames; f++)
        if (memcmp(got + f * VALUES, drawn + from[f] * VALUES, VALUES * sizeof *got) != 0)
            fail_msg("frame %u of %u is not frame %u", f, frames, from[f]);
}

/* diffusers' latents, and what its generator draws next. */
static void shuffled_is_diffusers(void **state)
{
    (void)state;
    static float drawn[MOST * VALUES], got[MOST * VALUES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_noise_source source;
        vka_error err = {0};
        draw(&source, VKA_NOISE_5D, cases[i].seed, cases[i].frames, drawn);
        memcpy(got, drawn, sizeof got);
        assert_int_equal(vka_noise_kind_apply_source(VKA_NOISE_KIND_SHUFFLED, &source, cases[i].length, cases[i].stride, got, &err),
                         VKA_OK);
        check_from(drawn, got, cases[i].from, cases[i].frames);
        float after[16];
        vka_rng_normal(&source.rng[0], after, 16);
        assert_true(fabsf(after[0] - cases[i].after) < 1e-6f);
        vka_noise_close(&source);
    }
}

/* Every window of `length` frames that begins at a multiple of the stride holds the same frames' noise. */
static void windows_hold_the_same(void **state)
{
    (void)state;
    static float noise[MOST];
    vka_error err = {0};
    for (uint32_t length = 1; length <= 20; length++)
        for (uint32_t stride = 1; stride <= length; stride++) {
            if (length % stride) /* groups then begin within groups, which the rule does not keep together */
                continue;
            for (uint32_t f = 0; f < MOST; f++)
                noise[f] = (float)f;
            assert_int_equal(vka_noise_kind_apply(VKA_NOISE_KIND_SHUFFLED, MOST, 1, length, stride, 3, noise, &err), VKA_OK);
            for (uint32_t j = 0; j + length <= MOST; j += stride) {
                uint64_t held = 0;
                for (uint32_t i = 0; i < length; i++)
                    held |= UINT64_C(1) << (uint32_t)noise[j + i];
                assert_true(held == (UINT64_C(1) << length) - 1);
            }
        }
}

static void other_kinds(void **state)
{
    (void)state;
    static float drawn[MOST * VALUES], got[MOST * VALUES];
    uint8_t from[MOST];
    vka_error err = {0};
    vka_noise_source source;
    draw(&source, VKA_NOISE_5D, 9, 20, drawn);
    for (int kind = VKA_NOISE_KIND_RANDOM; kind <= VKA_NOISE_KIND_REPEATED; kind++) {
        memcpy(got, drawn, sizeof got);
        for (uint8_t f = 0; f < 20; f++)
            from[f] = kind == VKA_NOISE_KIND_RANDOM ? f : kind == VKA_NOISE_KIND_CONSTANT ? 0 : f % 6;
        vka_noise_source before = source;
        assert_int_equal(vka_noise_kind_apply_source((vka_noise_kind)kind, &source, 6, 4, got, &err), VKA_OK);
        check_from(drawn, got, from, 20);
        assert_memory_equal(&before, &source, sizeof before);
    }
    vka_noise_close(&source);
}

/* A generator for each frame: orders come from one of their own, so that no frame's own noise moves. */
static void frames_of_their_own(void **state)
{
    (void)state;
    static float drawn[MOST * VALUES], got[MOST * VALUES], again[MOST * VALUES];
    vka_error err = {0};
    vka_noise_source source;
    draw(&source, VKA_NOISE_FRAME, 9, 20, drawn);
    memcpy(got, drawn, sizeof got);
    memcpy(again, drawn, sizeof got);
    vka_rng before = source.rng[0];
    assert_int_equal(vka_noise_kind_apply_source(VKA_NOISE_KIND_SHUFFLED, &source, 8, 4, got, &err), VKA_OK);
    assert_int_equal(vka_noise_kind_apply(VKA_NOISE_KIND_SHUFFLED, 20, VALUES, 8, 4, 9, again, &err), VKA_OK);
    assert_memory_equal(got, again, sizeof got);
    assert_memory_not_equal(got, drawn, 20 * VALUES * sizeof *got);
    assert_memory_equal(&before, &source.rng[0], sizeof before);
    vka_noise_close(&source);
}

static void out_of_range(void **state)
{
    (void)state;
    float noise[4] = {0};
    vka_error err = {0};
    static const uint32_t bad[][2] = {{0, 1}, {4, 0}, {4, 5}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(vka_noise_kind_apply(VKA_NOISE_KIND_SHUFFLED, 4, 1, bad[i][0], bad[i][1], 0, noise, &err), VKA_E_USAGE);
    vka_noise_kind kind;
    assert_int_equal(vka_noise_kind_from_name("white", &kind, &err), VKA_E_USAGE);
    assert_int_equal(vka_noise_kind_from_name("shuffled", &kind, &err), VKA_OK);
    assert_string_equal(vka_noise_kind_name(kind), "shuffled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffled_is_diffusers), cmocka_unit_test(windows_hold_the_same), cmocka_unit_test(other_kinds),
        cmocka_unit_test(frames_of_their_own),   cmocka_unit_test(out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
