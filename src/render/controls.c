/* controls.c - see controls.h.
 *
 * Pictures are decoded once, when the job is opened, and kept as the network takes them: in memory while they are few, else in a
 * file (frame_store.h), so that memory does not grow with the clip. */
#include "render/controls.h"

#include "media/media.h"
#include "media/pictures.h"
#include "render/hints.h"
#include "render/tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

vka_status vka_controls_begin(struct vka_controls *c, const struct vka_setup *s, uint32_t frames, uint32_t height, uint32_t width,
                              vka_error *err)
{
    vka_status st = VKA_OK;
    *c = (struct vka_controls){.count = s->control_count};
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++) {
        struct vka_hints *h = &c->hints[i];
        h->info = vka_control_describe(s->controls[i].file);
        h->height = height * h->info->hint_factor;
        h->width = width * h->info->hint_factor;
        h->frames = frames;
        h->picture_of = vka_calloc(frames, sizeof *h->picture_of);
        c->weights[i] = vka_calloc(frames, sizeof *c->weights[i]);
        st = h->picture_of && c->weights[i] ? vka_setup_control_weights(s, i, frames, c->weights[i], err)
                                            : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    return st;
}

/* vka_unet_control.get */
static vka_status hint_of(void *user, uint32_t branch, uint32_t frame, void *out, vka_error *err)
{
    struct vka_hints *h = user;
    size_t pixels = (size_t)h->height * h->width;
    int32_t picture = h->picture_of[frame];
    (void)branch;
    if (picture < 0)
        return VKA_OK;
    if (h->info->kind == VKA_CONTROL_SPARSE_RGB) {
        uint32_t channels = h->info->hint_channels - 1, to = vka_pitch(h->info->hint_channels);
        float *rows = out;
        for (size_t p = 0; p < pixels; p++) {
            for (uint32_t k = 0; k < channels; k++)
                rows[p * to + k] = h->latents[((size_t)picture * channels + k) * pixels + p];
            rows[p * to + channels] = 1;
        }
        return VKA_OK;
    }
    uint8_t *bytes = out;
    vka_status st = vka_frame_store_get(&h->rgb, (uint32_t)picture, h->row, err);
    for (size_t p = 0; st == VKA_OK && p < pixels; p++) {
        memcpy(bytes + 4 * p, h->row + 3 * p, 3);
        bytes[4 * p + 3] = 255;
    }
    return st;
}

void vka_controls_enter(struct vka_controls *c, const struct vka_setup *s, struct vka_unet_stage_params *p)
{
    for (uint32_t i = 0; i < c->count && p->value_count < VKA_FRAME_VALUES; i++) {
        const struct vka_control_spec *spec = &s->controls[i].spec;
        struct vka_unet_control *to = &p->controls[p->control_count++];
        *to = (struct vka_unet_control){.weights = vka_control_weights(s->controls[i].file), .info = c->hints[i].info,
                                        .value = p->value_count, .user = &c->hints[i], .get = hint_of};
        for (uint32_t k = 0; k < to->info->outputs; k++)
            to->layers[k] = vka_control_layer(spec->mode, k, to->info->outputs);
        bool known = p->frames <= c->hints[i].frames; /* a longer clip is planned, not rendered */
        p->values[p->value_count++] = (struct vka_frame_values){.frame = known ? c->weights[i] : NULL, .start = spec->start, .end = spec->end,
                                                                .guided_only = spec->mode == VKA_CONTROL_CONTROL};
    }
}

/* Room for the pictures, of `bytes` bytes each. */
static vka_status keep(struct vka_hints *h, size_t bytes, uint64_t memory, vka_error *err)
{
    h->row = vka_calloc(1, bytes);
    return h->row ? vka_frame_store_open(&h->rgb, h->pictures, bytes, memory, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

static vka_status read_one(struct vka_hints *h, uint32_t number, const vka_safetensors *in, vka_error *err)
{
    char name[24];
    float *values = NULL, *mask = NULL;
    uint32_t frames = h->frames, channels = h->info->hint_channels - 1;
    size_t pixels = (size_t)h->height * h->width;
    bool latents = h->info->kind == VKA_CONTROL_SPARSE_RGB;
    snprintf(name, sizeof name, "hint%u", (unsigned)number);
    vka_status st = latents ? vka_read_clip(in, name, &frames, &channels, &h->height, &h->width, &values, err)
                            : vka_read_frames(in, name, &frames, &h->height, &h->width, &values, err);
    snprintf(name, sizeof name, "mask%u", (unsigned)number);
    if (st == VKA_OK && h->info->kind != VKA_CONTROL_NET) {
        const vka_weight *w = vka_safetensors_find(in, name);
        if (w && vka_weight_count(w) == frames && (mask = vka_calloc(frames, sizeof *mask)))
            vka_dtype_to_f32(mask, w->data, w->dtype, frames);
        else
            st = vka_fail(err, VKA_E_INPUT, "the tensor '%s' is not there, or not one of %u numbers", name, frames);
    }
    h->pictures = frames;
    for (uint32_t f = 0; st == VKA_OK && f < frames; f++)
        h->picture_of[f] = mask && mask[f] <= 0 ? -1 : (int32_t)f;
    free(mask);
    if (latents) {
        h->latents = values;
        return st;
    }
    if (st == VKA_OK)
        st = keep(h, pixels * 3, UINT64_MAX, err);
    for (uint32_t f = 0; st == VKA_OK && f < frames; f++) {
        for (size_t i = 0; i < pixels * 3; i++)
            h->row[i] = (uint8_t)lrintf(fminf(fmaxf(values[f * pixels * 3 + i], 0), 1) * 255);
        st = vka_frame_store_put(&h->rgb, f, h->row, err);
    }
    free(values);
    return st;
}

vka_status vka_controls_read(struct vka_controls *c, const vka_safetensors *in, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++)
        st = read_one(&c->hints[i], i, in, err);
    return st;
}

/* ---- a job's pictures ----------------------------------------------------------------------------------------------- */

/* What names a control's pictures; "" or NULL: nothing. */
static const char *source_of(const struct vka_setup *s, uint32_t number)
{
    const struct vka_job *j = s->job;
    const char *own = s->controls[number].spec.source;
    return own ? own : j->init_video && *j->init_video ? j->init_video : j->init;
}

/* Where a control's pictures come from. */
static vka_status ask_for(struct vka_picture_ask *ask, const struct vka_setup *s, uint32_t number, vka_error *err)
{
    const struct vka_job *j = s->job;
    const struct vka_setup_control *c = &s->controls[number];
    const char *path = source_of(s, number);
    if (!path || !*path) {
        vka_fail(err, VKA_E_USAGE, "the control '%.200s' has no pictures", c->path);
        vka_error_hint(err, "--control %.100s,source=FILE, or --init-video, or --init", c->spec.path);
        return VKA_E_USAGE;
    }
    bool timed = !vka_path_is_dir(path) && !strchr(vka_path_base(path), '%');
    ask->path = path;
    ask->fps = timed && vka_job_has(j, "video-fps") ? j->video_fps : 0;
    ask->start = timed ? j->video_start : 0;
    ask->stride = (uint32_t)(j->video_stride > 0 ? j->video_stride : 1);
    vka_resize_from_name(j->resize ? j->resize : "crop", &ask->resize);
    return VKA_OK;
}

/* Which picture is of which frame. */
static vka_status place_pictures(struct vka_hints *h, const struct vka_setup *s, uint32_t number, uint32_t have, const char *path,
                                 vka_error *err)
{
    if (h->info->kind == VKA_CONTROL_NET) {
        if (have < h->frames && have > 1)
            return vka_fail(err, VKA_E_INPUT, "'%.200s' has %u pictures for a clip of %u frames", path, have, h->frames);
        h->pictures = vka_min_u32(have, h->frames);
        for (uint32_t f = 0; f < h->frames; f++)
            h->picture_of[f] = h->pictures > 1 ? (int32_t)f : 0;
        return VKA_OK;
    }
    uint32_t *frames = vka_calloc(vka_min_u32(have, h->frames), sizeof *frames);
    vka_status st = frames ? vka_control_frames(s->controls[number].spec.frames, h->frames, vka_min_u32(have, h->frames), frames,
                                                &h->pictures, err)
                           : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t f = 0; f < h->frames; f++)
        h->picture_of[f] = -1;
    for (uint32_t i = 0; st == VKA_OK && i < h->pictures; i++)
        h->picture_of[frames[i]] = (int32_t)i;
    free(frames);
    return st;
}

/* Of the frame before: what frame 0 sees, where the clip begins from pictures, and room for the others'. */
static void place_previous(struct vka_hints *h, bool first, float *weights)
{
    h->pictures = 2;
    for (uint32_t f = 0; f < h->frames; f++)
        h->picture_of[f] = f ? 1 : first ? 0 : -1;
    if (!first)
        weights[0] = 0;
}

static void invert(uint8_t *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rgb[i] = (uint8_t)(255 - rgb[i]);
}

static vka_status load_one(struct vka_hints *h, const struct vka_setup *s, uint32_t number, uint32_t width, uint32_t height,
                           float *weights, vka_error *err)
{
    struct vka_picture_ask ask = {0};
    vka_pictures *p = NULL;
    bool latents = h->info->kind == VKA_CONTROL_SPARSE_RGB, end = false;
    enum vka_control_process process = s->controls[number].spec.process;
    h->sample = s->controls[number].spec.sample;
    h->process = process;
    h->previous = s->controls[number].spec.previous;
    const char *path = source_of(s, number);
    bool given = !h->previous || (path && *path);
    vka_status st = given ? ask_for(&ask, s, number, err) : VKA_OK;
    ask.width = latents ? width : h->width;
    ask.height = latents ? height : h->height;
    h->picture_width = ask.width;
    h->picture_height = ask.height;
    ask.most = h->frames;
    if (st == VKA_OK && given)
        st = vka_pictures_open(&p, &ask, err);
    if (h->previous)
        place_previous(h, given, weights);
    else if (st == VKA_OK)
        st = place_pictures(h, s, number, vka_pictures_count(p), ask.path, err);
    size_t bytes = (size_t)ask.width * ask.height * 3;
    if (st == VKA_OK)
        st = keep(h, bytes, VKA_FRAME_STORE_MEMORY, err);
    uint32_t count = h->previous ? given : h->pictures;
    for (uint32_t i = 0; st == VKA_OK && i < count; i++) {
        st = vka_pictures_next(p, h->row, &end, err);
        if (st == VKA_OK && end)
            st = vka_fail(err, VKA_E_INPUT, "'%.200s' ends after %u pictures", ask.path, i);
        if (process == VKA_PROCESS_INVERT)
            invert(h->row, bytes);
        if (st == VKA_OK)
            st = vka_frame_store_put(&h->rgb, i, h->row, err);
    }
    vka_pictures_close(p);
    return st;
}

vka_status vka_controls_load(struct vka_controls *c, const struct vka_setup *s, uint32_t width, uint32_t height, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++)
        st = load_one(&c->hints[i], s, i, width, height, c->weights[i], err);
    return st;
}

/* What a process is on the device; false: nothing is left for it. */
static bool hint_params(const struct vka_hints *h, struct vka_hint_params *p)
{
    static const enum vka_hint_kind kinds[VKA_PROCESSES] = {[VKA_PROCESS_CANNY] = VKA_HINT_CANNY,
                                                            [VKA_PROCESS_LINEART] = VKA_HINT_LINEART,
                                                            [VKA_PROCESS_SOFT_EDGE] = VKA_HINT_SOFT_EDGE,
                                                            [VKA_PROCESS_TILE] = VKA_HINT_TILE};
    if (h->process == VKA_PROCESS_NONE || h->process == VKA_PROCESS_INVERT || h->processed == h->pictures)
        return false;
    *p = vka_hint_defaults(kinds[h->process]);
    return true;
}

vka_status vka_controls_process(struct vka_controls *c, vka_gpu *gpu, const struct vka_kernel_table *table, uint64_t budget,
                                const vka_ticker *ticker, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++) {
        struct vka_hints *h = &c->hints[i];
        struct vka_hints_stage stage = {0};
        struct vka_hint_params p;
        uint64_t need = 0;
        if (!hint_params(h, &p))
            continue;
        st = vka_hints_stage_build(&stage, &p, h->picture_height, h->picture_width, table, err);
        if (st == VKA_OK)
            st = vka_hints_stage_ask(&stage, &(struct vka_ask){.room = {budget, UINT64_MAX}}, &need, err);
        if (st == VKA_OK && need > budget)
            st = vka_fail(err, VKA_E_MEMORY, "a hint of %u x %u needs %.1f MiB, the budget is %.1f MiB", h->picture_width,
                          h->picture_height, (double)need / 1048576, (double)budget / 1048576);
        if (st == VKA_OK && gpu)
            st = vka_hints_stage_start(&stage, gpu, ticker, err);
        for (; st == VKA_OK && gpu && h->processed < h->pictures; h->processed++) {
            st = vka_frame_store_get(&h->rgb, h->processed, h->row, err);
            if (st == VKA_OK)
                st = vka_hints_stage_run(&stage, h->row, h->row, ticker, err);
            if (st == VKA_OK)
                st = vka_frame_store_put(&h->rgb, h->processed, h->row, err);
            if (st != VKA_OK)
                break;
        }
        vka_hints_stage_end(&stage);
    }
    return st;
}

vka_status vka_controls_show(struct vka_controls *c, const uint8_t *rgb, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++)
        if (c->hints[i].previous)
            st = vka_frame_store_put(&c->hints[i].rgb, 1, rgb, err);
    return st;
}

uint32_t vka_controls_to_encode(const struct vka_controls *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++)
        n += c->hints[i].info->kind == VKA_CONTROL_SPARSE_RGB && !c->hints[i].latents ? c->hints[i].pictures : 0;
    return n;
}

/* One picture, [height][width][3], as the encoder's mean, or drawn. */
static vka_status encode_picture(struct vka_hints *h, uint32_t number, struct vka_vae_stage *encoder, vka_rng *rng, float *frame,
                                 float *latent, float *spread, float *noise, const vka_ticker *ticker, vka_error *err)
{
    size_t values = (size_t)(h->info->hint_channels - 1) * h->height * h->width;
    bool bad = false;
    vka_status st = vka_frame_store_get(&h->rgb, number, h->row, err);
    for (size_t i = 0; i < h->rgb.bytes; i++)
        frame[i] = (float)h->row[i] / 127.5f - 1;
    if (st == VKA_OK)
        st = vka_vae_stage_encode(encoder, frame, latent, spread, &bad, ticker, err);
    if (st == VKA_OK && bad)
        st = vka_fail(err, VKA_E_VERIFY, "what the VAE makes of a picture for SparseCtrl holds NaN or Inf");
    if (st == VKA_OK && h->sample) {
        vka_rng_normal(rng, noise, values);
        for (size_t i = 0; i < values; i++)
            latent[i] += spread[i] * noise[i];
    }
    return st;
}

vka_status vka_controls_encode(struct vka_controls *c, struct vka_vae_stage *encoder, vka_rng_kind kind, uint64_t seed,
                               const vka_ticker *ticker, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++) {
        struct vka_hints *h = &c->hints[i];
        if (h->info->kind != VKA_CONTROL_SPARSE_RGB || h->latents)
            continue;
        size_t values = (size_t)(h->info->hint_channels - 1) * h->height * h->width;
        float *latents = vka_calloc(h->pictures, values * sizeof *latents), *frame = vka_calloc(h->rgb.bytes, sizeof *frame),
              *spread = vka_calloc(2 * values, sizeof *spread);
        vka_rng rng;
        vka_rng_init(&rng, kind, seed + i);
        st = latents && frame && spread ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
        for (uint32_t n = 0; st == VKA_OK && n < h->pictures; n++)
            st = encode_picture(h, n, encoder, &rng, frame, latents + n * values, spread, spread + values, ticker, err);
        if (st == VKA_OK)
            h->latents = latents;
        else
            free(latents);
        free(frame);
        free(spread);
    }
    return st;
}

/* ---- --save-hints --------------------------------------------------------------------------------------------------------- */

static char *pattern(const char *folder, uint32_t number)
{
    return vka_asprintf("%s/control%u-%%05d.png", folder, (unsigned)number);
}

bool vka_controls_would_overwrite(const struct vka_controls *c, const char *folder)
{
    bool would = false;
    for (uint32_t i = 0; i < c->count && !would; i++) {
        char *path = pattern(folder, i);
        would = path && vka_media_would_overwrite(path, vka_max_u32(c->hints[i].pictures, 1));
        free(path);
    }
    return would;
}

static const uint8_t *picture(void *user, uint32_t index, vka_error *err)
{
    struct vka_hints *h = user;
    return vka_frame_store_get(&h->rgb, index, h->row, err) == VKA_OK ? h->row : NULL;
}

vka_status vka_controls_save(struct vka_controls *c, const char *folder, vka_error *err)
{
    vka_status st = vka_make_dirs(folder, err);
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++) {
        struct vka_hints *h = &c->hints[i];
        char *path = pattern(folder, i);
        vka_clip clip = {.width = h->picture_width, .height = h->picture_height, .frames = h->pictures, .fps = 1, .get = picture, .user = h};
        vka_media_result made = {0};
        st = path ? vka_media_write(path, &clip, &made, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
        vka_media_result_free(&made);
        free(path);
    }
    return st;
}

void vka_controls_end(struct vka_controls *c)
{
    for (uint32_t i = 0; i < VKA_CONTROLS; i++) {
        free(c->hints[i].picture_of);
        vka_frame_store_close(&c->hints[i].rgb);
        free(c->hints[i].row);
        free(c->hints[i].latents);
        free(c->weights[i]);
    }
    *c = (struct vka_controls){0};
}
