/* preview_fit.c - the map from a VAE's latents to small pictures: drawn, decoded, fitted, kept.  See preview.h.
 *
 * PICTURES latents [channels, SIDE, SIDE] are drawn and decoded one by one, with the VAE as it stands in the job; every picture's
 * pixels are averaged over those of a latent pixel.  The stage is planned like any other, for itself, and ends before the UNet's
 * begins.
 *
 * What is drawn is noise of unit variance, independent in the channels, a quarter of it constant over the picture and less and less
 * of it the faster it changes, as latents of pictures have it.  On the miniature, in dB against the decoded clip of
 * samples/golden.safetensors and against 24 frames of its world (the best map for those alone has 26.2):
 *
 *     noise like that         27.0  24.5        one latent pixel in place of nine      21.2  21.2
 *     encoded drawn shapes    26.2  24.2        a pixel and four neighbours            26.5  24.7
 *     white noise             23.3  22.8        24 pictures in place of 8              27.8  24.6
 *
 * It needs no encoder, which some VAE files lack.  Over the 20 steps of that clip the noiseless estimate is nearer to its end than
 * the latents themselves in every step: 18.5 against 12.9 dB after the fifth, 21.6 against 15.5 after the tenth.
 *
 * preview-VAE.json: {"format": 1, "vae": its hash, "channels": c, "bias": [3], "weight": [3 c 9]}; a file that is damaged, or of
 * another format, is written anew. */
#include "render/preview.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "render/filehash.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, PICTURES = 8, SIDE = 16, FILE_LIMIT = 1 << 18 };
enum { HASHED = 4096 }; /* bytes of each tensor: fine-tuning changes all of them */
static const double ridge = 1e-3;
static const double most_weight = 1e5; /* colours a unit of latents; 50 is usual */

/* ---- latents ------------------------------------------------------------------------------------------------ */

/* Adds noise that changes over `cell` pixels, of standard deviation `amount`: values on a grid and lines between them. */
static void add_noise(vka_rng *rng, uint32_t cell, uint32_t side, double amount, float *out)
{
    enum { MOST = SIDE + 2 };
    float grid[MOST * MOST];
    const uint32_t n = side / cell + 2;
    vka_rng_normal(rng, grid, (size_t)n * n);
    for (uint32_t y = 0; y < side; y++)
        for (uint32_t x = 0; x < side; x++) {
            const float *g = grid + (size_t)(y / cell) * n + x / cell;
            double v = (double)(y % cell) / cell, u = (double)(x % cell) / cell;
            double a = (1 - v) * (1 - u), b = (1 - v) * u, c = v * (1 - u), d = v * u;
            double value = a * (double)g[0] + b * (double)g[1] + c * (double)g[n] + d * (double)g[n + 1];
            out[(size_t)y * side + x] += (float)(amount * value / sqrt(a * a + b * b + c * c + d * d));
        }
}

void vka_preview_draw(uint32_t i, uint32_t channels, uint32_t side, float *out)
{
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, 1000 + i);
    for (uint32_t c = 0; c < channels; c++) {
        float level[16], *plane = out + (size_t)c * side * side;
        vka_rng_normal(&rng, level, 16);
        for (size_t p = 0; p < (size_t)side * side; p++)
            plane[p] = 0.5f * level[0];
        add_noise(&rng, 8, side, 0.5, plane);
        add_noise(&rng, 4, side, 0.5, plane);
        add_noise(&rng, 2, side, 0.4, plane);
        add_noise(&rng, 1, side, 0.3, plane);
    }
}

/* The mean colours [h, w, 3] of the picture's squares of `factor` pixels a side. */
static void average(const uint8_t *rgb, uint32_t h, uint32_t w, uint32_t factor, float *out)
{
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t k = 0; k < 3; k++) {
                uint32_t sum = 0;
                for (uint32_t i = 0; i < factor; i++)
                    for (uint32_t j = 0; j < factor; j++)
                        sum += rgb[(((size_t)y * factor + i) * w * factor + (size_t)x * factor + j) * 3 + k];
                out[((size_t)y * w + x) * 3 + k] = (float)sum / (float)(factor * factor);
            }
}

/* ---- the file ----------------------------------------------------------------------------------------------- */

void vka_preview_vae_hash(const vka_weights *w, const vka_vae_config *c, char hex[65])
{
    const uint32_t sizes[] = {FORMAT, c->latent_channels, c->levels, c->norm_num_groups};
    vka_sha256 sha;
    vka_sha256_init(&sha);
    vka_sha256_add(&sha, sizes, sizeof sizes);
    vka_sha256_add(&sha, &c->scaling_factor, sizeof c->scaling_factor);
    vka_sha256_add(&sha, &c->shift_factor, sizeof c->shift_factor);
    for (size_t i = 0; i < vka_weights_count(w); i++) {
        const vka_weight *t = vka_weights_at(w, i);
        if (strncmp(t->name, "decoder.", 8) != 0 && strncmp(t->name, "post_quant_conv.", 16) != 0)
            continue;
        vka_sha256_add(&sha, t->name, strlen(t->name) + 1);
        vka_sha256_add(&sha, &t->dtype, sizeof t->dtype);
        vka_sha256_add(&sha, t->dims, t->rank * sizeof *t->dims);
        vka_sha256_add(&sha, t->data, t->bytes < HASHED ? (size_t)t->bytes : HASHED);
    }
    vka_sha256_hex(&sha, hex);
}

char *vka_preview_map_write(const struct vka_latent_map *m, const char *vae)
{
    json_t *bias = json_array(), *weight = json_array();
    bool whole = bias && weight;
    for (uint32_t k = 0; k < 3; k++) {
        vka_report_add(&whole, bias, json_real((double)m->bias[k]));
        for (uint32_t c = 0; c < m->channels; c++)
            for (uint32_t t = 0; t < VKA_LATENT_TAPS; t++)
                vka_report_add(&whole, weight, json_real((double)m->weight[k][c][t]));
    }
    json_t *o = json_pack("{s:i, s:s, s:i}", "format", FORMAT, "vae", vae, "channels", (int)m->channels);
    whole = whole && o;
    vka_report_put(&whole, o, "bias", bias);
    vka_report_put(&whole, o, "weight", weight);
    char *text = whole ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    return text;
}

/* Number i of an array; false where it is none that a map has. */
static bool number(const json_t *array, size_t i, float *out)
{
    const json_t *v = json_array_get(array, i);
    double x = json_number_value(v);
    *out = (float)x;
    return json_is_number(v) && fabs(x) <= most_weight;
}

bool vka_preview_map_read(struct vka_latent_map *m, const char *json, size_t size, const char *vae, uint32_t channels)
{
    json_t *o = json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *bias = json_object_get(o, "bias"), *weight = json_object_get(o, "weight");
    const char *of = json_string_value(json_object_get(o, "vae"));
    bool good = channels <= VKA_LATENT_CHANNELS && json_integer_value(json_object_get(o, "format")) == FORMAT && of &&
                strcmp(of, vae) == 0 && json_integer_value(json_object_get(o, "channels")) == (json_int_t)channels &&
                json_array_size(bias) == 3 && json_array_size(weight) == (size_t)3 * channels * VKA_LATENT_TAPS;
    *m = (struct vka_latent_map){.channels = channels};
    for (uint32_t k = 0, i = 0; good && k < 3; k++) {
        good = number(bias, k, &m->bias[k]);
        for (uint32_t c = 0; good && c < channels; c++)
            for (uint32_t t = 0; good && t < VKA_LATENT_TAPS; t++, i++)
                good = number(weight, i, &m->weight[k][c][t]);
    }
    json_decref(o);
    return good;
}

/* Where the map of a VAE is kept; NULL where nothing is. */
static char *file_of(const char *vae)
{
    char *dir = vka_cache_dir(), *name = vka_asprintf("preview-%.32s.json", vae), *path = dir && name ? vka_path_join(dir, name) : NULL;
    free(dir);
    free(name);
    return path;
}

static bool load(struct vka_latent_map *m, const char *path, const char *vae, uint32_t channels)
{
    char *text = NULL;
    size_t size = 0;
    bool good = path && vka_path_exists(path) && vka_read_file(path, FILE_LIMIT, &text, &size, NULL) == VKA_OK &&
                vka_preview_map_read(m, text, size, vae, channels);
    free(text);
    return good;
}

static void store(const struct vka_latent_map *m, const char *path, const char *vae)
{
    char *text = path ? vka_preview_map_write(m, vae) : NULL;
    if (text)
        vka_write_file(path, text, strlen(text), NULL); /* without it the next render fits again */
    free(text);
}

/* ---- the fit ------------------------------------------------------------------------------------------------ */

/* Draws, decodes and adds the pictures. */
static vka_status decode(struct vka_vae_stage *stage, vka_latent_fit *fit, const vka_ticker *ticker, vka_error *err)
{
    const uint32_t factor = stage->out_h / SIDE;
    float *latents = vka_calloc((size_t)stage->in_c * SIDE * SIDE, sizeof *latents);
    float *colours = vka_calloc((size_t)SIDE * SIDE * 3, sizeof *colours);
    uint8_t *rgb = vka_calloc((size_t)stage->out_h * stage->out_w, 3);
    vka_status st = latents && colours && rgb ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; st == VKA_OK && i < PICTURES; i++) {
        bool bad = false;
        vka_preview_draw(i, stage->in_c, SIDE, latents);
        st = vka_vae_stage_run(stage, latents, rgb, &bad, ticker, err);
        if (st == VKA_OK && bad)
            st = vka_fail(err, VKA_E_VERIFY, "the VAE's pictures hold NaN or infinity");
        if (st != VKA_OK)
            break;
        average(rgb, SIDE, SIDE, factor, colours);
        vka_latent_fit_add(fit, latents, colours, SIDE, SIDE);
    }
    free(latents);
    free(colours);
    free(rgb);
    return st;
}

static vka_status make(struct vka_previews *p, struct vka_work *w, vka_gpu *gpu, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    struct vka_vae_stage stage = {0};
    vka_latent_fit *fit = vka_latent_fit_create(s->vae->latent_channels);
    double began = vka_now(), error = 0;
    uint64_t need = 0;
    vka_status st = fit ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_vae_stage_build(&stage, VKA_VAE_PICTURES, vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), s->vae, 1, SIDE, SIDE,
                                 vka_setup_vae_f16(s, w->f16), &w->table, err);
    if (st == VKA_OK)
        st = vka_vae_stage_ask(&stage, &(struct vka_ask){.room = {w->budget, w->host_budget}}, &need, err);
    if (st == VKA_OK && (need > w->budget || stage.run.plan->host_bytes > w->host_budget))
        st = vka_fail(err, VKA_E_MEMORY, "the VAE needs %.1f MiB for them", (double)need / 1048576);
    if (st == VKA_OK) {
        p->planned = need;
        st = vka_vae_stage_start(&stage, gpu, &w->cx->ticker, err);
    }
    if (st == VKA_OK)
        st = decode(&stage, fit, &w->cx->ticker, err);
    vka_vae_stage_end(&stage);
    if (st == VKA_OK && !vka_latent_fit_solve(fit, ridge, &p->map, &error))
        st = vka_fail(err, VKA_E_VERIFY, "nothing linear is like this VAE");
    else if (st == VKA_OK)
        vka_logf(&w->cx->log, VKA_LOG_INFO, "previews: fitted to the VAE in %.2f s, %.1f dB", vka_now() - began,
                 10 * log10(255 * 255 / fmax(error, 1e-9)));
    vka_latent_fit_free(fit);
    return st;
}

vka_status vka_previews_begin(struct vka_previews *p, struct vka_work *w, vka_gpu *gpu, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    p->tried = true;
    if (s->vae->latent_channels > VKA_LATENT_CHANNELS) {
        vka_logf(&w->cx->log, VKA_LOG_WARN, "there are no previews: the VAE has %u channels", s->vae->latent_channels);
        return VKA_OK;
    }
    char vae[65];
    vka_preview_vae_hash(vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), s->vae, vae);
    char *path = file_of(vae);
    vka_error why = {0};
    p->on = load(&p->map, path, vae, s->vae->latent_channels);
    vka_status st = p->on ? VKA_OK : make(p, w, gpu, &why);
    if (st == VKA_OK && !p->on) {
        p->on = true;
        store(&p->map, path, vae);
    }
    free(path);
    if (st == VKA_E_LOST || st == VKA_E_STOPPED) {
        if (err && err->status == VKA_OK)
            *err = why;
        return st;
    }
    if (st != VKA_OK)
        vka_logf(&w->cx->log, VKA_LOG_WARN, "there are no previews: %s%s%s", why.what, why.why[0] ? "; " : "", why.why);
    return VKA_OK;
}
