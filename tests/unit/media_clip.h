/* media_clip.h - what the tests of src/media share: a synthetic clip, PSNR, a folder for each test. */
#ifndef VKA_TEST_MEDIA_CLIP_H
#define VKA_TEST_MEDIA_CLIP_H

#define _XOPEN_SOURCE 700
#include "base/file.h"
#include "base/mem.h"
#include "media/media.h"
#include "media/media_int.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a clip: a gradient that moves, with a hard-edged box that wanders over it ------------------------------ */

typedef struct synthetic {
    uint32_t width, height;
    uint32_t fail_at; /* this frame cannot be had; UINT32_MAX: all can */
    uint32_t calls;
    uint8_t *rgb;
} synthetic;

static inline void draw(const synthetic *c, uint32_t frame, uint8_t *rgb)
{
    for (uint32_t y = 0; y < c->height; y++)
        for (uint32_t x = 0; x < c->width; x++, rgb += 3) {
            uint32_t wave = (x * 2 + frame * 3) % 360; /* up and down without a seam */
            rgb[0] = (uint8_t)(40 + (wave < 180 ? wave : 360 - wave));
            rgb[1] = (uint8_t)(60 + y * 120 / c->height);
            rgb[2] = (uint8_t)(200 - x * 100 / c->width - frame);
            if (x >= frame * 2 && x < frame * 2 + 12 && y >= 8 && y < 20)
                rgb[0] = 230, rgb[1] = 220, rgb[2] = 210;
        }
}

static inline const uint8_t *get_frame(void *user, uint32_t index, vka_error *err)
{
    synthetic *c = user;
    c->calls++;
    if (index == c->fail_at) {
        vka_fail(err, VKA_E_STOPPED, "stopped at frame %u", (unsigned)index);
        return NULL;
    }
    draw(c, index, c->rgb);
    return c->rgb;
}

static inline vka_clip make_clip(synthetic *c, uint32_t width, uint32_t height, uint32_t frames)
{
    *c = (synthetic){.width = width, .height = height, .fail_at = UINT32_MAX};
    c->rgb = malloc((size_t)width * height * 3);
    assert_non_null(c->rgb);
    return (vka_clip){.width = width, .height = height, .frames = frames, .fps = 8, .get = get_frame, .user = c};
}

static inline double psnr(const uint8_t *a, const uint8_t *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum > 0 ? 10 * log10(255.0 * 255.0 * (double)n / sum) : 200;
}

/* ---- a folder for each test ---------------------------------------------------------------------------------- */

static char folder[256]; /* of the test that runs */

static inline int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/vkanim-media-XXXXXX", base && *base ? base : P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static inline int count_files(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return n;
}

static inline void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *inner = vka_path_join(path, e->d_name);
        if (vka_path_is_dir(inner))
            remove_tree(inner);
        else
            unlink(inner);
        free(inner);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static inline int drop_folder(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

/* A name in the test's folder; four may be in use at a time. */
static inline const char *in_folder(const char *name)
{
    static char path[4][320];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static inline void write_ok(const char *path, const vka_clip *clip, vka_media_result *result)
{
    vka_error err = {0};
    vka_status s = vka_media_write(path, clip, result, &err);
    if (s != VKA_OK)
        print_error("%s: %s (%s)\n", path, err.what, err.why);
    assert_int_equal(s, VKA_OK);
}

static inline vka_media_info info_ok(const char *path)
{
    vka_media_info info;
    vka_error err = {0};
    vka_status s = vka_media_info_read(path, &info, &err);
    if (s != VKA_OK)
        print_error("%s: %s (%s)\n", path, err.what, err.why);
    assert_int_equal(s, VKA_OK);
    return info;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

#endif
