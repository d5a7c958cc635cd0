/* vae_stage.c - the VAE as a stage.  See stages.h.
 *
 * Scaling is the host's: the sampler's latents are (vae latents - shift) * scale. */
#include "render/stages.h"

#include "ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

vka_status vka_vae_stage_build(struct vka_vae_stage *s, enum vka_vae_mode mode, vka_weights *weights,
                               const vka_vae_config *c, uint32_t frames, uint32_t height, uint32_t width, bool f16,
                               const struct vka_kernel_table *table, vka_error *err)
{
    bool encode = mode == VKA_VAE_ENCODE;
    *s = (struct vka_vae_stage){.mode = mode, .config = c, .frames = frames, .in_h = height, .in_w = width,
                                .in_c = encode ? c->in_channels : c->latent_channels};
    vka_status st = vka_netrun_begin(&s->run, encode ? "VAE encoder" : "VAE decoder", 1, frames, weights, NULL, f16, table,
                                     err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->run.build;
    s->ends.in = vka_graph_tensor(b, encode ? "frames" : "latents", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, height, width, s->in_c);
    s->ends.out = encode ? vka_net_vae_encode(b, c, s->ends.in) : vka_net_vae_decode(b, c, s->ends.in);
    if (mode == VKA_VAE_PICTURES)
        s->ends.out = vka_picture(b, s->ends.out);
    vka_graph_output(b, s->ends.out);
    st = vka_netrun_finish(&s->run, &s->ends.in, 1, err);
    if (st != VKA_OK)
        return st;
    const struct vka_tensor_info *o = vka_info(s->run.graph, s->ends.out);
    s->out_h = o->h;
    s->out_w = o->w;
    s->out_c = o->c;
    vka_ends_add(&s->ends, &s->run, &s->io);
    return VKA_OK;
}

vka_status vka_vae_stage_plan(struct vka_vae_stage *s, uint64_t budget, uint64_t *need, vka_error *err)
{
    return vka_vae_stage_ask(s, &(struct vka_ask){.room = {budget, UINT64_MAX}}, need, err);
}

vka_status vka_vae_stage_ask(struct vka_vae_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    return vka_netrun_ask_io(&s->run, &s->io, ask, need, err);
}

vka_status vka_vae_stage_start(struct vka_vae_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    return vka_ends_start(&s->ends, &s->run, &s->io, gpu, ticker, err);
}

/* The input tensor's rows on the device: [n, h, w, pitch]. */
static void load(const struct vka_vae_stage *s, const float *in, float *pixels)
{
    if (s->mode != VKA_VAE_ENCODE) {
        size_t count = (size_t)s->frames * s->in_h * s->in_w * vka_pitch(s->in_c);
        vka_planes_to_pixels(pixels, in, s->frames, s->in_c, s->in_h, s->in_w);
        for (size_t i = 0; i < count; i++)
            if (i % vka_pitch(s->in_c) < s->in_c)
                pixels[i] = pixels[i] / s->config->scaling_factor + s->config->shift_factor;
        return;
    }
    size_t rows = (size_t)s->frames * s->in_h * s->in_w, pitch = vka_pitch(s->in_c);
    memset(pixels, 0, rows * pitch * sizeof *pixels);
    for (size_t i = 0; i < rows; i++)
        memcpy(pixels + i * pitch, in + i * s->in_c, s->in_c * sizeof *pixels);
}

static bool store(const struct vka_vae_stage *s, const void *raw, void *out)
{
    size_t rows = (size_t)s->frames * s->out_h * s->out_w, pitch = vka_pitch(s->out_c);
    const float *f = raw;
    bool bad = false;
    if (s->mode == VKA_VAE_PICTURES) {
        const uint8_t *p = raw;
        uint8_t *o = out;
        for (size_t i = 0; i < rows; i++, p += 4, o += 3) {
            memcpy(o, p, 3);
            bad = bad || p[3] == 0;
        }
    } else if (s->mode == VKA_VAE_DECODE) {
        float *o = out;
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < s->out_c; k++) {
                o[i * s->out_c + k] = f[i * pitch + k];
                bad = bad || !isfinite(f[i * pitch + k]);
            }
    } else {
        float *o = out;
        size_t pixels = (size_t)s->out_h * s->out_w, channels = s->config->latent_channels;
        for (size_t n = 0; n < s->frames; n++)
            for (size_t k = 0; k < channels; k++)
                for (size_t p = 0; p < pixels; p++) {
                    float v = f[(n * pixels + p) * pitch + k];
                    o[(n * channels + k) * pixels + p] = (v - s->config->shift_factor) * s->config->scaling_factor;
                    bad = bad || !isfinite(v);
                }
    }
    return bad;
}

/* The second half of the encoder's channels: logarithms of variances. */
static void store_spread(const struct vka_vae_stage *s, const float *raw, float *out)
{
    size_t pixels = (size_t)s->out_h * s->out_w, pitch = vka_pitch(s->out_c), channels = s->config->latent_channels;
    for (size_t n = 0; n < s->frames; n++)
        for (size_t k = 0; k < channels; k++)
            for (size_t p = 0; p < pixels; p++) {
                float v = fminf(fmaxf(raw[(n * pixels + p) * pitch + channels + k], -30), 20);
                out[(n * channels + k) * pixels + p] = expf(0.5f * v) * s->config->scaling_factor;
            }
}

static vka_status run(struct vka_vae_stage *s, const float *in, void *out, float *spread, bool *bad, const vka_ticker *ticker,
                      vka_error *err)
{
    size_t in_bytes = (size_t)vka_tensor_bytes(vka_info(s->run.graph, s->ends.in));
    size_t out_bytes = (size_t)vka_tensor_bytes(vka_info(s->run.graph, s->ends.out));
    void *raw = malloc(in_bytes > out_bytes ? in_bytes : out_bytes);
    if (!raw)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    load(s, in, raw);
    vka_status st = vka_ends_run(&s->ends, &s->run, raw, in_bytes, raw, out_bytes, ticker, err);
    if (st == VKA_OK)
        *bad = store(s, raw, out);
    if (st == VKA_OK && spread)
        store_spread(s, raw, spread);
    free(raw);
    return st;
}

vka_status vka_vae_stage_run(struct vka_vae_stage *s, const float *in, void *out, bool *bad, const vka_ticker *ticker,
                             vka_error *err)
{
    return run(s, in, out, NULL, bad, ticker, err);
}

vka_status vka_vae_stage_encode(struct vka_vae_stage *s, const float *frames, float *latents, float *spread, bool *bad,
                                const vka_ticker *ticker, vka_error *err)
{
    return run(s, frames, latents, spread, bad, ticker, err);
}

void vka_vae_stage_end(struct vka_vae_stage *s)
{
    vka_ends_end(&s->ends, &s->run);
    *s = (struct vka_vae_stage){0};
}
