/* test_room.c - how much memory a job may take, on invented devices; the settings that fit where a clip does not; and a host
 * whose memory is short.  No device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "base/machine.h"
#include "render/room.h"
#include "render/work.h"

#include <stdio.h>
#include <string.h>

static const uint64_t MIB = 1048576, GIB = 1073741824;

/* ---- the rule --------------------------------------------------------------------------------------------- */

static char said[512];
static int warnings;

static void on_log(void *user, int level, const char *text)
{
    (void)user;
    warnings += level <= VKA_LOG_WARN;
    snprintf(said, sizeof said, "%s", text);
}

static const vka_log test_log = {.write = on_log, .level = VKA_LOG_WARN};

static vka_gpu_info gpu(uint64_t heap, uint64_t device_free)
{
    vka_gpu_info info = {.device_heap = heap, .device_free = device_free, .usable = true};
    snprintf(info.name, sizeof info.name, "Radeon");
    return info;
}

/* The budget with `--vram VRAM --device-memory MEMORY` (NULL: not given), and how many warnings there were. */
static uint64_t budget(const char *vram, const char *memory, const vka_gpu_info *info, int warned)
{
    vka_error err = {0};
    vka_job *job = vka_job_create();
    assert_non_null(job);
    if (vram)
        assert_int_equal(vka_job_set(job, "vram", vram, &err), VKA_OK);
    if (memory)
        assert_int_equal(vka_job_set(job, "device-memory", memory, &err), VKA_OK);
    warnings = 0;
    said[0] = '\0';
    struct vka_room room = vka_room_decide(job, info, &test_log);
    assert_int_equal(warnings, warned);
    assert_true(room.host > 0);
    vka_job_destroy(&job);
    return room.device;
}

static void the_rule(void **state)
{
    (void)state;
    vka_gpu_info card = gpu(8 * GIB, 6 * GIB), full = gpu(8 * GIB, 0), software = gpu(4 * GIB, 4 * GIB);
    software.cpu = true;
    assert_true(budget(NULL, NULL, &card, 0) == 6 * GIB / 10 * 9); /* of what is free */
    assert_true(budget(NULL, NULL, &full, 0) == 0);
    assert_true(budget(NULL, NULL, &software, 0) == 4 * GIB);
    assert_true(budget(NULL, "6G", NULL, 0) == 6 * GIB);
    assert_true(budget("2G", NULL, &card, 0) == 2 * GIB);
    assert_true(budget("6G", NULL, &card, 0) == 6 * GIB);
    assert_true(budget("6145M", NULL, &card, 1) == 6145 * MIB); /* told, and obeyed */
    assert_non_null(strstr(said, "only 6144 MiB of 'Radeon' are free"));
    assert_true(budget("9G", NULL, &card, 1) == 9 * GIB);
    assert_non_null(strstr(said, "'Radeon' has only 8192 MiB"));
    assert_true(budget("1M", NULL, &full, 0) == MIB); /* a driver that says nothing is free may be wrong */
    assert_true(budget("2G", "8G", NULL, 0) == 2 * GIB);
    assert_true(budget("8G", "2G", NULL, 1) == 8 * GIB);
    assert_non_null(strstr(said, "--device-memory is only 2048 MiB"));
    assert_true(budget("900T", NULL, &software, 1) == 900 * 1024 * GIB);
}

static void the_machine(void **state)
{
    (void)state;
    uint64_t all = vka_machine_memory(), available = vka_machine_available();
    assert_true(available > 0 && available <= all);
}

/* ---- what would fit --------------------------------------------------------------------------------------- */

static vka_context *cx;

/* The miniature's clip with these options (pairs, NULL ends), planned within these budgets. */
static void begin(struct vka_work *w, vka_job **job, const char *const *options, uint64_t device, uint64_t host)
{
    vka_error err = {0};
    *job = vka_job_create();
    assert_non_null(*job);
    vka_status s = vka_job_set(*job, "model", VKA_SOURCE_DIR "/models/miniature", &err);
    for (; s == VKA_OK && *options; options += 2)
        s = vka_job_set(*job, options[0], options[1], &err);
    if (s == VKA_OK)
        s = vka_work_open(w, cx, *job, &err);
    if (s == VKA_OK)
        s = vka_work_device(w, NULL, NULL, &err);
    if (s == VKA_OK)
        s = vka_work_build(w, &err);
    w->budget = device;
    w->host_budget = host;
    if (s == VKA_OK)
        s = vka_work_plan(w, device, &err);
    if (s != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
}

static void end(struct vka_work *w, vka_job **job)
{
    vka_work_close(w);
    vka_job_destroy(job);
}

/* Whether a clip of that size and length fits, planned as it would be for a render. */
static bool would_fit(uint32_t frames, uint32_t width, uint32_t height, uint64_t device, uint64_t host)
{
    struct vka_work w;
    vka_job *job;
    char f[16], x[16], y[16];
    snprintf(f, sizeof f, "%u", frames);
    snprintf(x, sizeof x, "%u", width);
    snprintf(y, sizeof y, "%u", height);
    begin(&w, &job, (const char *[]){"frames", f, "width", x, "height", y, NULL}, device, host);
    bool fits = vka_work_fits(&w);
    end(&w, &job);
    return fits;
}

/* Every suggestion fits, and the next one up does not. */
static void check_nearest(const struct vka_work *w)
{
    const struct vka_nearest *n = &w->nearest;
    uint64_t d = w->budget, h = w->host_budget;
    uint32_t f = w->setup.frames, x = w->setup.width, y = w->setup.height, more = w->setup.factor;
    if (n->frames) {
        assert_true(n->frames < f && n->frames_planned > 0 && n->frames_planned <= d);
        assert_true(would_fit(n->frames, x, y, d, h));
        assert_false(would_fit(n->frames + 1, x, y, d, h));
    }
    if (n->width) {
        assert_true(n->width < x && n->width == n->height); /* of the same shape */
        assert_true(n->size_planned > 0 && n->size_planned <= d);
        assert_true(would_fit(f, n->width, n->height, d, h));
        assert_false(would_fit(f, n->width + more, n->height + more, d, h));
    }
    if (n->budget) {
        assert_true(n->budget > d && n->budget % MIB == 0 && n->budget_planned <= n->budget);
        assert_true(would_fit(f, x, y, n->budget, h));
    }
}

static void the_nearest_fit(void **state)
{
    (void)state;
    struct vka_work w;
    vka_job *job;
    vka_error err = {0};
    begin(&w, &job, (const char *[]){"frames", "24", NULL}, 6 * MIB, GIB);
    assert_false(vka_work_fits(&w));
    uint64_t planned = w.planned;
    assert_int_equal(vka_work_does_not_fit(&w, &err), VKA_E_MEMORY);
    printf("%s\n%s\n%s\n", err.what, err.why, err.hint);
    assert_true(w.planned == planned); /* the plan stays */
    assert_true(w.nearest.frames && w.nearest.width && w.nearest.budget);
    assert_non_null(strstr(err.hint, "--frames"));
    assert_non_null(strstr(err.hint, "--width"));
    check_nearest(&w);
    assert_false(would_fit(24, 128, 128, w.nearest.budget - MIB, GIB));
    /* files of this very clip leave only the budget */
    assert_true(vka_job_text(&job->noise, "noise.safetensors"));
    vka_nearest_find(&w, &w.nearest);
    assert_true(!w.nearest.frames && !w.nearest.width && w.nearest.budget);
    end(&w, &job);
    /* what cannot help is not named */
    begin(&w, &job, (const char *[]){"frames", "1", NULL}, MIB, GIB);
    err = (vka_error){0};
    assert_int_equal(vka_work_does_not_fit(&w, &err), VKA_E_MEMORY);
    assert_true(!w.nearest.frames && !w.nearest.width && w.nearest.budget);
    assert_non_null(strstr(err.hint, "--vram"));
    assert_null(strstr(err.hint, "--frames"));
    end(&w, &job);
    /* a device that has no more */
    begin(&w, &job, (const char *[]){"device-memory", "1M", "vram", "1M", NULL}, MIB, GIB);
    err = (vka_error){0};
    assert_int_equal(vka_work_does_not_fit(&w, &err), VKA_E_MEMORY);
    assert_true(!w.nearest.budget);
    printf("%s\n", err.hint);
    end(&w, &job);
}

/* Weights that the device has no room for wait in host memory, where they may not take more than there is. */
static void a_host_without_room(void **state)
{
    (void)state;
    struct vka_work w;
    vka_job *job;
    vka_error err = {0};
    begin(&w, &job, (const char *[]){NULL}, 12 * MIB, GIB);
    assert_true(vka_work_fits(&w) && w.host_planned > 0);
    end(&w, &job);
    begin(&w, &job, (const char *[]){NULL}, GIB, 0);
    assert_true(vka_work_fits(&w) && w.host_planned == 0);
    end(&w, &job);
    begin(&w, &job, (const char *[]){NULL}, 12 * MIB, 0);
    assert_false(vka_work_fits(&w));
    assert_true(w.planned <= w.budget && w.host_planned > 0);
    assert_int_equal(vka_work_does_not_fit(&w, &err), VKA_E_MEMORY);
    printf("%s\n%s\n%s\n", err.what, err.why, err.hint);
    assert_non_null(strstr(err.what, "host memory"));
    assert_true(w.nearest.budget > 12 * MIB && w.nearest.budget < 23 * MIB); /* resident weights, finer cuts */
    check_nearest(&w);
    end(&w, &job);
    /* the parked state of a long clip counts too: fewer frames help */
    begin(&w, &job, (const char *[]){"frames", "1000", NULL}, GIB, 7 * MIB);
    assert_false(vka_work_fits(&w));
    assert_true(w.host_planned > 7 * MIB);
    err = (vka_error){0};
    assert_int_equal(vka_work_does_not_fit(&w, &err), VKA_E_MEMORY);
    printf("%s\n%s\n%s\n", err.what, err.why, err.hint);
    assert_true(w.nearest.frames > 100 && !w.nearest.budget);
    check_nearest(&w);
    end(&w, &job);
}

static int set_up(void **state)
{
    (void)state;
    vka_error err = {0};
    return vka_context_create(&cx, NULL, &err) == VKA_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vka_context_destroy(&cx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_rule), cmocka_unit_test(the_machine),
                                       cmocka_unit_test(the_nearest_fit), cmocka_unit_test(a_host_without_room)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
