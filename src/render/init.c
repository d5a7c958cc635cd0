/* init.c - see init.h: which pictures there are, their latents, and what a clip starts from.
 *
 * Everything but vka_init_encode is arithmetic on the host, in double, rounded once. */
#include "render/init.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool vka_init_asked(const vka_job *job)
{
    return job->init || job->init_last || job->init_video || job->keyframe.count;
}

uint32_t vka_init_first_step(uint32_t steps, double strength)
{
    uint32_t run = (uint32_t)((double)steps * strength);
    return run < steps ? steps - run : 0;
}

/* ---- the rule ------------------------------------------------------------------------------------------------------ */

void vka_init_weights(const struct vka_init_key *key, uint32_t key_count, uint32_t frame, double *out)
{
    double sum = 0;
    for (uint32_t k = 0; k < key_count; k++) {
        double far = key[k].frame > frame ? key[k].frame - frame : frame - key[k].frame;
        out[k] = fmax(0, 1 - pow(far, key[k].power) / key[k].scale);
        sum += out[k];
        if (key[k].frame == frame) {
            for (uint32_t i = 0; i < key_count; i++)
                out[i] = i == k;
            return;
        }
    }
    for (uint32_t k = 0; sum > 1 && k < key_count; k++)
        out[k] /= sum;
}

uint32_t vka_init_nearest(const struct vka_init_key *key, uint32_t key_count, uint32_t frame)
{
    uint32_t best = 0, least = UINT32_MAX;
    for (uint32_t k = 0; k < key_count; k++) {
        uint32_t far = key[k].frame > frame ? key[k].frame - frame : frame - key[k].frame;
        if (far < least) {
            least = far;
            best = k;
        }
    }
    return best;
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

vka_status vka_init_parse_key(const char *text, uint32_t frames, uint32_t *frame, const char **image, vka_error *err)
{
    bool negative = *text == '-';
    const char *digits = text + negative;
    size_t n = strspn(digits, "0123456789");
    if (!n || n > 9 || digits[n] != '=' || !digits[n + 1]) {
        vka_fail(err, VKA_E_USAGE, "--keyframe '%.200s' is not a frame's number and a picture", text);
        vka_error_hint(err, "it looks like 8=picture.png, or -1=picture.png for the last frame");
        return VKA_E_USAGE;
    }
    int64_t at = strtol(digits, NULL, 10), place = negative ? (int64_t)frames - at : at;
    if (place < 0 || place >= (int64_t)frames) {
        vka_fail(err, VKA_E_USAGE, "--keyframe %.*s is outside the clip's %u frames", (int)(n + negative), text, frames);
        vka_error_hint(err, "they are 0 to %u, or -%u to -1", frames - 1, frames);
        return VKA_E_USAGE;
    }
    *frame = (uint32_t)place;
    *image = digits + n + 1;
    return VKA_OK;
}

static vka_status no_memory(vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory for the pictures that the clip begins from");
}

/* Puts a key in its place. */
static vka_status add_key(struct vka_init *in, uint32_t frame, const char *path, double power, double scale, vka_error *err)
{
    uint32_t at = 0;
    while (at < in->key_count && in->key[at].frame < frame)
        at++;
    if (at < in->key_count && in->key[at].frame == frame)
        return vka_fail(err, VKA_E_USAGE, "frame %u has two pictures: '%.300s' and '%.300s'", frame, in->key[at].path, path);
    char *copy = vka_strdup(path);
    if (!copy)
        return no_memory(err);
    memmove(in->key + at + 1, in->key + at, (in->key_count - at) * sizeof *in->key);
    in->key[at] = (struct vka_init_key){.frame = frame, .path = copy, .power = power, .scale = scale};
    in->key_count++;
    return VKA_OK;
}

static vka_status read_keys(struct vka_init *in, const vka_job *job, vka_error *err)
{
    double power = job->latent_power, scale = job->latent_scale;
    in->key = vka_calloc(job->keyframe.count + 2, sizeof *in->key);
    vka_status st = in->key ? VKA_OK : no_memory(err);
    if (st == VKA_OK && job->init)
        st = add_key(in, 0, job->init, power, scale, err);
    for (size_t i = 0; st == VKA_OK && i < job->keyframe.count; i++) {
        uint32_t frame;
        const char *image;
        st = vka_init_parse_key(job->keyframe.items[i], in->frames, &frame, &image, err);
        if (st == VKA_OK)
            st = add_key(in, frame, image, power, scale, err);
    }
    if (st == VKA_OK && job->init_last)
        st = add_key(in, in->frames - 1, job->init_last,
                     vka_job_has(job, "latent-power-last") ? job->latent_power_last : power,
                     vka_job_has(job, "latent-scale-last") ? job->latent_scale_last : scale, err);
    return st;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

/* Sizes of the pictures that masks are compared with. */
struct stored {
    uint32_t width, height;
};

static vka_status open_keys(struct vka_init *in, const struct vka_picture_ask *like, struct stored *first, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t k = 0; st == VKA_OK && k < in->key_count; k++) {
        struct vka_init_key *key = &in->key[k];
        struct vka_picture_ask ask = {.path = key->path, .width = in->width, .height = in->height, .resize = like->resize, .most = 1};
        vka_pictures *p = NULL;
        bool end = false;
        st = vka_pictures_open(&p, &ask, err);
        if (st == VKA_OK) {
            key->rgb = vka_calloc((size_t)in->width * in->height, 3);
            st = key->rgb ? vka_pictures_next(p, key->rgb, &end, err) : no_memory(err);
        }
        if (st == VKA_OK && end)
            st = vka_fail(err, VKA_E_INPUT, "'%s' changed while it was read", key->path);
        if (st == VKA_OK && k == 0)
            vka_pictures_stored(p, &first->width, &first->height);
        vka_pictures_close(p);
    }
    return st;
}

static vka_status open_video(struct vka_init *in, const struct vka_picture_ask *ask, struct stored *first, vka_error *err)
{
    vka_status st = vka_pictures_open(&in->video, ask, err);
    if (st != VKA_OK)
        return st;
    uint32_t count = vka_pictures_count(in->video);
    vka_pictures_stored(in->video, &first->width, &first->height);
    if (count >= in->frames)
        return VKA_OK;
    vka_fail(err, VKA_E_INPUT, "'%s' gives %u picture%s, the clip has %u frames", ask->path, count, count == 1 ? "" : "s", in->frames);
    if (count == 1)
        vka_error_hint(err, "--init takes one picture and lets it move");
    else
        vka_error_hint(err, "--frames %u, or another --video-fps, --video-start or --video-stride", count);
    return VKA_E_INPUT;
}

/* A mask picture's mean over each latent pixel: white is 1. */
static void shrink_mask(const struct vka_init *in, const uint8_t *rgb, float *out)
{
    uint32_t fx = in->width / in->w, fy = in->height / in->h;
    for (uint32_t y = 0; y < in->h; y++)
        for (uint32_t x = 0; x < in->w; x++) {
            uint64_t sum = 0;
            for (uint32_t v = 0; v < fy; v++)
                for (uint32_t u = 0; u < 3 * fx; u++)
                    sum += rgb[((size_t)(y * fy + v) * in->width + (size_t)x * fx) * 3 + u];
            out[(size_t)y * in->w + x] = (float)((double)sum / (255.0 * 3 * fx * fy));
        }
}

/* A mask that moves keeps step with the video that it masks. */
static vka_status open_mask(struct vka_init *in, const char *path, const struct vka_picture_ask *like, const struct stored *picture,
                            vka_error *err)
{
    bool many = vka_path_is_dir(path) || (strchr(vka_path_base(path), '%') && !vka_path_exists(path)), end = false;
    struct vka_picture_ask ask = *like;
    vka_pictures *p = NULL;
    struct stored size;
    ask.path = path;
    ask.filter = VKA_FILTER_BOX;
    ask.fps = many ? 0 : like->fps; /* numbered files have no times */
    ask.start = many ? 0 : like->start;
    vka_status st = vka_pictures_open(&p, &ask, err);
    if (st != VKA_OK)
        return st;
    uint32_t count = vka_pictures_count(p);
    vka_pictures_stored(p, &size.width, &size.height);
    if (size.width != picture->width || size.height != picture->height) {
        st = vka_fail(err, VKA_E_INPUT, "the mask '%s' has %u x %u pixels, its picture has %u x %u", path, size.width, size.height,
                      picture->width, picture->height);
    } else if (count != 1 && count < in->frames)
        st = vka_fail(err, VKA_E_INPUT, "the mask '%s' gives %u pictures, the clip has %u frames", path, count, in->frames);
    uint8_t *rgb = st == VKA_OK ? vka_calloc((size_t)in->width * in->height, 3) : NULL;
    in->mask_frames = count == 1 ? 1 : in->frames;
    in->mask = st == VKA_OK ? vka_calloc(in->mask_frames, (size_t)in->h * in->w * sizeof *in->mask) : NULL;
    if (st == VKA_OK && (!rgb || !in->mask))
        st = no_memory(err);
    for (uint32_t i = 0; st == VKA_OK && i < in->mask_frames; i++) {
        st = vka_pictures_next(p, rgb, &end, err);
        if (st == VKA_OK && end)
            st = vka_fail(err, VKA_E_INPUT, "'%s' changed while it was read", path);
        if (st == VKA_OK)
            shrink_mask(in, rgb, in->mask + (size_t)i * in->h * in->w);
    }
    free(rgb);
    vka_pictures_close(p);
    return st;
}

vka_status vka_init_open(struct vka_init *in, const vka_job *job, uint32_t frames, uint32_t width, uint32_t height, uint32_t factor,
                         uint32_t channels, vka_error *err)
{
    *in = (struct vka_init){0};
    if (!vka_init_asked(job)) {
        if (!job->mask)
            return VKA_OK;
        vka_fail(err, VKA_E_USAGE, "--mask needs a picture to keep what is black of");
        vka_error_hint(err, "--init IMAGE or --init-video FILE");
        return VKA_E_USAGE;
    }
    *in = (struct vka_init){.any = true, .frames = frames, .width = width, .height = height, .channels = channels,
                            .h = height / factor, .w = width / factor, .hold = job->hold};
    struct vka_picture_ask ask = {.path = job->init_video,
                                  .width = width,
                                  .height = height,
                                  .fps = job->video_fps,
                                  .start = job->video_start,
                                  .stride = (uint32_t)job->video_stride,
                                  .most = frames};
    struct stored picture = {0, 0};
    if (!vka_resize_from_name(job->resize ? job->resize : "crop", &ask.resize))
        return vka_fail(err, VKA_E_USAGE, "--resize '%s' is not crop, fit or stretch", job->resize);
    if (!job->init_video && (job->video_fps > 0 || job->video_start > 0 || job->video_stride > 1))
        ask.fps = ask.start = 0, ask.stride = 1; /* they are of a video */
    vka_status st = read_keys(in, job, err);
    if (st == VKA_OK)
        st = open_keys(in, &ask, &picture, err);
    if (st == VKA_OK && job->init_video)
        st = open_video(in, &ask, &picture, err);
    if (st == VKA_OK && job->mask)
        st = open_mask(in, job->mask, &ask, &picture, err);
    return st;
}

void vka_init_close(struct vka_init *in)
{
    for (uint32_t k = 0; k < in->key_count; k++) {
        free(in->key[k].path);
        free(in->key[k].rgb);
    }
    free(in->key);
    vka_pictures_close(in->video);
    free(in->mask);
    free(in->encoded);
    free(in->latents);
    *in = (struct vka_init){0};
}

/* ---- latents ------------------------------------------------------------------------------------------------------- */

static size_t latent_values(const struct vka_init *in)
{
    return (size_t)in->channels * in->h * in->w;
}

uint32_t vka_init_pictures(const struct vka_init *in)
{
    return !in->any ? 0 : in->video ? in->frames : in->key_count;
}

uint64_t vka_init_bytes(const struct vka_init *in)
{
    uint64_t one = latent_values(in) * sizeof(float), pixels = (uint64_t)in->width * in->height;
    if (!in->any)
        return 0;
    return in->frames * one + (in->video ? 0 : in->key_count * one) + in->mask_frames * (uint64_t)in->h * in->w * sizeof(float) +
           in->key_count * pixels * 3 + pixels * 15; /* and one picture on its way */
}

/* One picture as the VAE sees it, -1 .. 1, and back as latents. */
static vka_status encode_one(const struct vka_init *in, struct vka_vae_stage *encoder, const uint8_t *rgb, float *pixels, float *out,
                             const char *name, const vka_ticker *ticker, vka_error *err)
{
    size_t values = (size_t)in->width * in->height * 3;
    bool bad = false;
    for (size_t i = 0; i < values; i++)
        pixels[i] = 2.0f * ((float)rgb[i] / 255.0f) - 1.0f;
    vka_status st = vka_vae_stage_run(encoder, pixels, out, &bad, ticker, err);
    if (st == VKA_OK && bad) {
        st = vka_fail(err, VKA_E_VERIFY, "the VAE's latents of '%s' are not finite", name);
        vka_error_hint(err, "--precision f32, where numbers may be larger; a model file may be damaged too");
    }
    return st;
}

vka_status vka_init_encode(struct vka_init *in, struct vka_vae_stage *encoder, void (*done)(void *user, uint32_t count), void *user,
                           const vka_ticker *ticker, vka_error *err)
{
    uint32_t count = vka_init_pictures(in), k = 0;
    size_t one = latent_values(in), picture = (size_t)in->width * in->height * 3;
    if (!count || in->ready)
        return VKA_OK;
    float **to = in->video ? &in->latents : &in->encoded;
    if (!*to)
        *to = vka_calloc(count, one * sizeof **to);
    float *pixels = vka_calloc(picture, sizeof *pixels);
    uint8_t *rgb = vka_calloc(1, picture);
    vka_status st = *to && pixels && rgb ? VKA_OK : no_memory(err);
    if (in->video)
        vka_pictures_rewind(in->video);
    for (uint32_t i = 0; st == VKA_OK && i < count; i++) {
        const struct vka_init_key *key = in->video ? NULL : &in->key[i];
        bool end = false;
        if (in->video) {
            st = vka_pictures_next(in->video, rgb, &end, err);
            if (st == VKA_OK && end)
                st = vka_fail(err, VKA_E_INPUT, "the video changed while it was read");
            if (k < in->key_count && in->key[k].frame == i)
                key = &in->key[k++];
        }
        if (st == VKA_OK)
            st = encode_one(in, encoder, key ? key->rgb : rgb, pixels, *to + i * one, key ? key->path : "the video's pictures", ticker,
                            err);
        if (st == VKA_OK && done)
            done(user, i + 1);
    }
    free(pixels);
    free(rgb);
    in->ready = st == VKA_OK;
    return st;
}

/* How far pixel p of a frame may change, where there is a mask. */
static float free_at(const struct vka_init *in, uint32_t frame, size_t p)
{
    return in->mask[(in->mask_frames == 1 ? 0 : frame) * ((size_t)in->h * in->w) + p];
}

vka_status vka_init_clip(struct vka_init *in, const float *noise2, vka_error *err)
{
    size_t one = latent_values(in), plane = (size_t)in->h * in->w;
    if (!vka_init_wants_noise(in))
        return VKA_OK;
    if (!in->latents)
        in->latents = vka_calloc(in->frames, one * sizeof *in->latents);
    double *w = vka_calloc(in->key_count, sizeof *w);
    if (!in->latents || !w) {
        free(w);
        return no_memory(err);
    }
    for (uint32_t f = 0; f < in->frames; f++) {
        const float *kept = in->encoded + vka_init_nearest(in->key, in->key_count, f) * one;
        double rest = 1;
        vka_init_weights(in->key, in->key_count, f, w);
        for (uint32_t k = 0; k < in->key_count; k++)
            rest -= w[k];
        for (size_t i = 0; i < one; i++) {
            double v = fmax(rest, 0) * (double)noise2[f * one + i];
            for (uint32_t k = 0; k < in->key_count; k++)
                v += w[k] * (double)in->encoded[k * one + i];
            if (in->mask) {
                double m = (double)free_at(in, f, i % plane);
                v = m * v + (1 - m) * (double)kept[i];
            }
            in->latents[f * one + i] = (float)v;
        }
    }
    free(w);
    return VKA_OK;
}

void vka_init_start(const struct vka_init *in, double image, double noise, float *x)
{
    size_t values = in->frames * latent_values(in);
    for (size_t i = 0; i < values; i++)
        x[i] = (float)(image * (double)in->latents[i] + noise * (double)x[i]);
}

/* ---- holding ------------------------------------------------------------------------------------------------------- */

bool vka_init_holds(const struct vka_init *in)
{
    return in->any && in->hold > 0 && (in->mask || in->key_count);
}

uint32_t vka_init_held(const struct vka_init *in, uint32_t steps)
{
    return vka_init_holds(in) ? (uint32_t)(in->hold * (double)steps + 0.5) : 0;
}

const float *vka_init_target(const struct vka_init *in, uint32_t frame)
{
    size_t one = latent_values(in);
    return in->video ? in->latents + frame * one : in->encoded + vka_init_nearest(in->key, in->key_count, frame) * one;
}

void vka_init_keep(const struct vka_init *in, uint32_t frame, float *out)
{
    size_t plane = (size_t)in->h * in->w;
    float keep = 0;
    for (uint32_t k = 0; k < in->key_count; k++)
        if (in->key[k].frame == frame)
            keep = 1;
    for (size_t p = 0; p < plane; p++)
        out[p] = in->mask ? 1.0f - free_at(in, frame, p) : keep;
}
