/* test_frame_windows.c - FreeNoise's windows: every frame is held, phases hold windows apart, and the running means of their shares
 * are the weighted mean over all windows, which is written out here from the rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "ops/frame_windows.h"

#include <math.h>
#include <stdlib.h>

enum { MOST = 96 };

/* The weight of each window of the clip for a frame, in the order of their starts; returns how many windows there are. */
static uint32_t windows_of(const struct vka_frame_windows *w, uint32_t frames, uint32_t frame, double *weight)
{
    uint32_t n = 0, start = 0;
    for (bool last = false; !last; start += w->hop, n++) {
        if (start + w->length >= frames) {
            start = frames - w->length;
            last = true;
        }
        weight[n] = 0;
        if (frame >= start && frame < start + w->length) {
            uint32_t i = frame - start, half = (w->length + 1) / 2;
            weight[n] = w->flat ? 1 : i < half ? i + 1 : w->length - i;
        }
    }
    return n;
}

static void check_windows(const struct vka_frame_windows *w, uint32_t frames)
{
    uint32_t phases = vka_frame_windows_phases(w, frames), count = 0, every = 0;
    for (uint32_t p = 0; p < phases; p++) {
        struct vka_frame_phase k = vka_frame_windows_phase(w, frames, p);
        assert_true(k.length == w->length && k.count && k.every >= k.length && (!every || every == k.every));
        assert_true(k.first + (k.count - 1) * k.every + k.length <= frames);
        every = k.every;
        count += k.count;
    }
    for (uint32_t f = 0; f < frames; f++) {
        double weight[MOST], sum = 0, mean = 0, want = 0;
        uint32_t all = windows_of(w, frames, f, weight);
        assert_int_equal(all, count);
        for (uint32_t i = 0; i < all; i++) {
            sum += weight[i];
            want += weight[i] * (i + 1) * (i + 1); /* some value of window i */
        }
        assert_true(sum > 0);
        bool begun = false;
        for (uint32_t p = 0; p < phases; p++) {
            struct vka_frame_phase k = vka_frame_windows_phase(w, frames, p);
            double share = (double)vka_frame_windows_share(w, frames, p, f), value = NAN;
            for (uint32_t i = 0; i < k.count; i++)
                if (f >= k.first + i * k.every && f < k.first + i * k.every + k.length) {
                    uint32_t start = k.first + i * k.every, number = start % w->hop || p + 1 > k.every / w->hop ? all - 1 : start / w->hop;
                    value = (double)(number + 1) * (number + 1);
                }
            assert_true(isnan(value) ? !(share > 0) : share > 0);
            if (!isnan(value)) {
                assert_true(begun || !(share < 1));
                mean = begun ? mean + share * (value - mean) : value;
                begun = true;
            }
        }
        if (!(fabs(mean - want / sum) <= 1e-5 * (1 + want / sum)))
            fail_msg("length %u, hop %u, %u frames, frame %u: %g, %g is wanted", w->length, w->hop, frames, f, mean, want / sum);
    }
}

static void means_are_weighted(void **state)
{
    (void)state;
    for (uint32_t length = 1; length <= 17; length++)
        for (uint32_t hop = 1; hop <= length; hop++)
            for (uint32_t frames = length + 1; frames <= length + 30; frames += 1 + length % 3) {
                check_windows(&(struct vka_frame_windows){length, hop, false}, frames);
                check_windows(&(struct vka_frame_windows){length, hop, true}, frames);
            }
}

static void phases_of_a_common_clip(void **state)
{
    (void)state;
    const struct vka_frame_windows w = {16, 4, false};
    assert_int_equal(vka_frame_windows_phases(&w, 32), 4); /* starts 0, 16 | 4 | 8 | 12 */
    assert_int_equal(vka_frame_windows_phases(&w, 33), 5); /* and 17 */
    struct vka_frame_phase k = vka_frame_windows_phase(&w, 33, 4);
    assert_true(k.first == 17 && k.count == 1);
    assert_false(vka_frame_windows_used(&w, 16) || vka_frame_windows_used(&(struct vka_frame_windows){0}, 99));
    assert_true(vka_frame_windows_used(&w, 17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(means_are_weighted), cmocka_unit_test(phases_of_a_common_clip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
