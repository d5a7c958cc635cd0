/* setup_ip_picture.c - pictures for an image encoder: read, scaled, cut and normed as CLIP's preprocessing has it.  See setup_ip.h. */
#include "render/setup_ip.h"

#include "base/file.h"
#include "media/pictures.h"
#include "render/vision_stage.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_RATIO = 16 }; /* of the sides: what is scaled stays small */

static size_t numbers(const vka_vision_config *c)
{
    return (size_t)3 * c->image * c->image;
}

vka_status vka_setup_ip_prepare(const vka_vision_config *c, const uint8_t *rgb, uint32_t width, uint32_t height, float *patches,
                                vka_error *err)
{
    uint32_t side = c->image, low = vka_min_u32(width, height), high = vka_max_u32(width, height);
    if (!low || high / low >= MOST_RATIO)
        return vka_fail(err, VKA_E_INPUT, "a picture of %u x %u is too narrow to be an image prompt", width, height);
    /* the long side is cut to a whole number, as CLIPImageProcessor does */
    uint32_t longer = (uint32_t)((uint64_t)side * high / low), w = width > height ? longer : side, h = width > height ? side : longer;
    uint8_t *scaled = malloc((size_t)w * h * 3), *square = malloc(numbers(c));
    vka_status st = scaled && square ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_picture_resize(rgb, width, height, scaled, w, h, VKA_RESIZE_STRETCH, VKA_FILTER_BICUBIC, err);
    if (st == VKA_OK) {
        uint32_t left = (w - side) / 2, top = (h - side) / 2;
        for (uint32_t y = 0; y < side; y++)
            memcpy(square + (size_t)y * side * 3, scaled + ((size_t)(top + y) * w + left) * 3, (size_t)side * 3);
        vka_vision_unfold(c, square, patches);
    }
    free(scaled);
    free(square);
    return st;
}

/* One of the files of a list. */
static vka_status read_one(const vka_vision_config *c, const char *path, float *patches, vka_error *err)
{
    uint32_t w = 0, h = 0;
    uint8_t *rgb = NULL;
    vka_status st = vka_picture_read(path, VKA_RESIZE_STRETCH, &w, &h, &rgb, err);
    if (st == VKA_OK)
        st = vka_setup_ip_prepare(c, rgb, w, h, patches, err);
    free(rgb);
    return st;
}

/* A folder, numbered files, a video: all of one size. */
static vka_status read_sequence(const vka_vision_config *c, const char *path, uint32_t most, uint32_t *count, float **patches,
                                vka_error *err)
{
    vka_pictures *p = NULL;
    uint8_t *rgb = NULL;
    bool end = false;
    vka_status st = vka_pictures_open(&p, &(struct vka_picture_ask){.path = path, .most = *count ? *count : most}, err);
    if (st != VKA_OK)
        return st;
    uint32_t there = vka_pictures_count(p), w = vka_pictures_width(p), h = vka_pictures_height(p);
    if (*count && there < *count) {
        vka_pictures_close(p);
        return vka_fail(err, VKA_E_USAGE, "--ip-adapter: '%s' holds %u pictures for %u key frames", path, there, *count);
    }
    *count = there;
    *patches = vka_calloc(there * numbers(c), sizeof **patches);
    rgb = malloc((size_t)w * h * 3);
    st = *patches && rgb ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; st == VKA_OK && i < there; i++) {
        st = vka_pictures_next(p, rgb, &end, err);
        if (st == VKA_OK && end)
            st = vka_fail(err, VKA_E_INPUT, "'%s' changed while it was read", path);
        if (st == VKA_OK)
            st = vka_setup_ip_prepare(c, rgb, w, h, *patches + i * numbers(c), err);
    }
    free(rgb);
    vka_pictures_close(p);
    return st;
}

vka_status vka_setup_ip_read(const vka_vision_config *c, const char *image, uint32_t most, uint32_t *count, float **patches,
                             vka_error *err)
{
    struct vka_setup_ip ask = {.spec.values = {image}};
    char **list = vka_setup_ip_images(&ask);
    uint32_t files = 0;
    *patches = NULL;
    while (list && list[files])
        files++;
    vka_status st = !list    ? vka_fail(err, VKA_E_MEMORY, "out of memory")
                    : !files ? vka_fail(err, VKA_E_USAGE, "--ip-adapter: image= names no file")
                             : VKA_OK;
    bool many = files == 1 && (*count > 1 || (strchr(list[0], '%') && !vka_path_exists(list[0])) || vka_path_is_dir(list[0]));
    if (st == VKA_OK && many)
        st = read_sequence(c, list[0], most, count, patches, err);
    else if (st == VKA_OK) {
        if (*count && *count != files)
            st = vka_fail(err, VKA_E_USAGE, "--ip-adapter: %u pictures for %u key frames", files, *count);
        else if (files > most)
            st = vka_fail(err, VKA_E_USAGE, "--ip-adapter: %u pictures for %u frames", files, most);
        else if (!(*patches = vka_calloc(files * numbers(c), sizeof **patches)))
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        *count = files;
        for (uint32_t i = 0; st == VKA_OK && i < files; i++)
            st = read_one(c, list[i], *patches + i * numbers(c), err);
    }
    for (uint32_t i = 0; i < files; i++)
        free(list[i]);
    free(list);
    if (st != VKA_OK) {
        free(*patches);
        *patches = NULL;
    }
    return st;
}
