/* rng.c - see rng.h.  Torch's float32 normals: 16 or more values are drawn as 24-bit uniforms for the
 * whole tensor, then turned into normals 16 at a time (pairs j, j+8); a tail shorter than 16 is covered by
 * drawing the last 16 values anew.  Fewer than 16 values come one by one from 53-bit uniforms, in pairs
 * whose second half waits in the generator, also across draws. */
#include "base/rng.h"
#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MT_N = 624, MT_M = 397, BLOCK = 16 };
static const double TWO_PI = 6.283185307179586476925286766559;

/* ---- MT19937 ---- */

static void mt_seed(vka_rng *rng, uint32_t seed)
{
    rng->mt[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++) {
        uint32_t p = rng->mt[i - 1];
        rng->mt[i] = 1812433253u * (p ^ (p >> 30)) + i;
    }
    rng->next = MT_N;
}

static void mt_twist(uint32_t *mt)
{
    for (uint32_t i = 0; i < MT_N; i++) {
        uint32_t y = (mt[i] & 0x80000000u) | (mt[(i + 1) % MT_N] & 0x7fffffffu);
        mt[i] = mt[(i + MT_M) % MT_N] ^ (y >> 1) ^ (y & 1u ? 0x9908b0dfu : 0u);
    }
}

static uint32_t mt_word(vka_rng *rng)
{
    if (rng->next >= MT_N) {
        mt_twist(rng->mt);
        rng->next = 0;
    }
    uint32_t y = rng->mt[rng->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static float mt_uniform24(vka_rng *rng)
{
    return (float)(mt_word(rng) & 0xffffffu) * 0x1p-24f;
}

static double mt_uniform53(vka_rng *rng)
{
    uint64_t high = mt_word(rng), low = mt_word(rng);
    return (double)(((high << 32) | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* Box-Muller on 16 uniforms in place.  The angle is rounded to fp32 before its sine is taken because
 * torch's is: near a full turn that moves a value by more than the last place. */
static void torch_block(float *v)
{
    for (int j = 0; j < 8; j++) {
        float u1 = 1.0f - v[j];
        float theta = (float)TWO_PI * v[j + 8];
        float radius = (float)sqrt(-2.0 * (double)(float)log((double)u1));
        v[j] = (float)((double)radius * cos((double)theta));
        v[j + 8] = (float)((double)radius * sin((double)theta));
    }
}

static void torch_normal(vka_rng *rng, float *out, size_t n)
{
    if (n >= BLOCK) {
        for (size_t i = 0; i < n; i++)
            out[i] = mt_uniform24(rng);
        for (size_t i = 0; i + BLOCK <= n; i += BLOCK)
            torch_block(out + i);
        if (n % BLOCK) {
            float *tail = out + n - BLOCK;
            for (int i = 0; i < BLOCK; i++)
                tail[i] = mt_uniform24(rng);
            torch_block(tail);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (rng->has_spare) {
            rng->has_spare = false;
            out[i] = (float)rng->spare;
            continue;
        }
        double u1 = mt_uniform53(rng), u2 = mt_uniform53(rng);
        double radius = sqrt(-2.0 * log1p(-u2)), theta = TWO_PI * u1;
        rng->spare = radius * sin(theta);
        rng->has_spare = true;
        out[i] = (float)(radius * cos(theta));
    }
}

/* ---- Philox4x32-10 ---- */

static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c[0] * 0xd2511f53u, p1 = (uint64_t)c[2] * 0xcd9e8d57u;
        uint32_t c1 = c[1], c3 = c[3];
        c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c[1] = (uint32_t)p1;
        c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c[3] = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
}

static void nv_normal(vka_rng *rng, float *out, size_t n)
{
    const double to_unit = 0x1p-32, to_turn = TWO_PI * 0x1p-32; /* u in (0,1), v in (0,2 pi): bin centres */
    for (size_t i = 0; i < n; i++) {
        uint32_t c[4] = {rng->call, 0, (uint32_t)i, 0};
        philox(c, (uint32_t)rng->seed, (uint32_t)(rng->seed >> 32));
        double u = (double)c[0] * to_unit + to_unit / 2, v = (double)c[1] * to_turn + to_turn / 2;
        out[i] = (float)(sqrt(-2.0 * log(u)) * sin(v));
    }
    rng->call++;
}

/* ---- one interface for both ---- */

void vka_rng_init(vka_rng *rng, vka_rng_kind kind, uint64_t seed)
{
    memset(rng, 0, sizeof *rng);
    rng->kind = kind;
    rng->seed = seed;
    mt_seed(rng, (uint32_t)seed);
}

void vka_rng_normal(vka_rng *rng, float *out, size_t n)
{
    if (rng->kind == VKA_RNG_NV)
        nv_normal(rng, out, n);
    else
        torch_normal(rng, out, n);
}

void vka_rng_permute(vka_rng *rng, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = i;
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t word, c[4] = {rng->call, 0, i, 0};
        if (rng->kind == VKA_RNG_NV) {
            philox(c, (uint32_t)rng->seed, (uint32_t)(rng->seed >> 32));
            word = c[0];
        } else
            word = mt_word(rng);
        uint32_t other = i + word % (n - i), kept = out[i];
        out[i] = out[other];
        out[other] = kept;
    }
    if (rng->kind == VKA_RNG_NV)
        rng->call++;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

static uint32_t get32(const uint8_t **p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t) * (*p)++ << (8 * i);
    return v;
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    return put32(put32(p, (uint32_t)v), (uint32_t)(v >> 32));
}

static uint64_t get64(const uint8_t **p)
{
    uint64_t low = get32(p);
    return low | (uint64_t)get32(p) << 32;
}

static const uint32_t STATE_MAGIC = 0x31474e52u; /* "RNG1" */

void vka_rng_save(const vka_rng *rng, uint8_t out[VKA_RNG_STATE_BYTES])
{
    uint64_t spare;
    memcpy(&spare, &rng->spare, 8);
    uint8_t *p = put32(out, STATE_MAGIC);
    p = put32(p, (uint32_t)rng->kind);
    p = put64(p, rng->seed);
    for (int i = 0; i < MT_N; i++)
        p = put32(p, rng->mt[i]);
    p = put32(p, rng->next);
    p = put32(p, rng->has_spare);
    p = put64(p, spare);
    put32(p, rng->call);
}

bool vka_rng_load(vka_rng *rng, const uint8_t in[VKA_RNG_STATE_BYTES])
{
    vka_rng r;
    memset(&r, 0, sizeof r);
    const uint8_t *p = in;
    uint32_t magic = get32(&p), kind = get32(&p);
    r.seed = get64(&p);
    for (int i = 0; i < MT_N; i++)
        r.mt[i] = get32(&p);
    r.next = get32(&p);
    uint32_t has_spare = get32(&p);
    uint64_t spare = get64(&p);
    r.call = get32(&p);
    if (magic != STATE_MAGIC || kind > VKA_RNG_NV || r.next > MT_N || has_spare > 1)
        return false;
    r.kind = (vka_rng_kind)kind;
    r.has_spare = has_spare != 0;
    memcpy(&r.spare, &spare, 8);
    *rng = r;
    return true;
}

uint32_t vka_rng_fresh_seed(void)
{
    uint32_t seed = 0;
    FILE *f = fopen("/dev/urandom", "rb");
    bool ok = f && fread(&seed, sizeof seed, 1, f) == 1;
    if (f)
        fclose(f);
    return ok ? seed : (uint32_t)(uint64_t)(vka_now() * 1e6);
}

/* ---- names ---- */

static const char *const kind_names[] = {"torch-cpu", "nv"};
static const char *const layout_names[] = {"5d", "clip", "frame"};

bool vka_rng_kind_from_name(const char *name, vka_rng_kind *out)
{
    for (int i = 0; i <= VKA_RNG_NV; i++)
        if (!strcmp(name, kind_names[i])) {
            *out = (vka_rng_kind)i;
            return true;
        }
    return false;
}

bool vka_noise_layout_from_name(const char *name, vka_noise_layout *out)
{
    for (int i = 0; i <= VKA_NOISE_FRAME; i++)
        if (!strcmp(name, layout_names[i])) {
            *out = (vka_noise_layout)i;
            return true;
        }
    return false;
}

const char *vka_rng_kind_name(vka_rng_kind kind)
{
    return kind_names[kind];
}

const char *vka_noise_layout_name(vka_noise_layout layout)
{
    return layout_names[layout];
}

/* ---- noise of a clip ---- */

/* `stride` lies between the seeds of frames that have their own. */
static vka_status noise_open(vka_noise_source *src, vka_rng_kind kind, vka_noise_layout layout, uint64_t seed,
                             uint64_t stride, uint32_t frames, uint32_t channels, uint32_t height, uint32_t width,
                             vka_error *err)
{
    memset(src, 0, sizeof *src);
    uint64_t plane, values, bytes;
    if (!frames || !channels || !height || !width || !vka_mul_u64(height, width, &plane) ||
        !vka_mul_u64(plane, channels, &values) || !vka_mul_u64(values, frames, &values) ||
        !vka_mul_u64(values, sizeof(float), &bytes) || bytes > SIZE_MAX / 2)
        return vka_fail(err, VKA_E_USAGE, "noise of %u frames, %u channels, %u x %u is not a usable size", frames,
                        channels, height, width);
    src->layout = layout;
    src->frames = frames;
    src->channels = channels;
    src->height = height;
    src->width = width;
    src->plane = (size_t)plane;
    src->generators = layout == VKA_NOISE_FRAME ? frames : 1;
    bool permutes = layout == VKA_NOISE_5D && frames > 1 && channels > 1;
    src->rng = vka_calloc(src->generators, sizeof *src->rng);
    src->scratch = permutes ? vka_calloc((size_t)values, sizeof(float)) : NULL;
    if (!src->rng || (permutes && !src->scratch)) {
        vka_noise_close(src);
        return vka_fail(err, VKA_E_MEMORY, "no memory for the noise of %u frames", frames);
    }
    for (uint32_t i = 0; i < src->generators; i++)
        vka_rng_init(&src->rng[i], kind, seed + i * stride);
    return VKA_OK;
}

vka_status vka_noise_open(vka_noise_source *src, vka_rng_kind kind, vka_noise_layout layout, uint64_t seed,
                          uint32_t frames, uint32_t channels, uint32_t height, uint32_t width, vka_error *err)
{
    return noise_open(src, kind, layout, seed, 1, frames, channels, height, width, err);
}

vka_status vka_noise_open_sub(vka_noise_source *src, vka_rng_kind kind, vka_noise_layout layout, uint64_t seed,
                              vka_subseed sub, uint32_t frames, uint32_t channels, uint32_t height, uint32_t width,
                              vka_error *err)
{
    return noise_open(src, kind, layout, seed, sub.share > 0.0 ? 0 : 1, frames, channels, height, width, err);
}

/* A column of n values `pitch` apart: a turned towards b by `share` of the angle between them. */
static void turn(float *a, const float *b, size_t n, size_t pitch, double share)
{
    double aa = 0.0, bb = 0.0, ab = 0.0;
    for (size_t i = 0; i < n * pitch; i += pitch) {
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
        ab += (double)a[i] * (double)b[i];
    }
    double x = ab / sqrt(aa * bb), from = 1.0 - share, to = share;
    if (fabs(x) < 1.0 - 1e-9) { /* not for columns of nothing but 0 either */
        double angle = acos(x), whole = sin(angle);
        from = sin((1.0 - share) * angle) / whole;
        to = sin(share * angle) / whole;
    }
    for (size_t i = 0; i < n * pitch; i += pitch)
        a[i] = (float)(from * (double)a[i] + to * (double)b[i]);
}

vka_status vka_noise_mix(const vka_noise_source *src, vka_subseed sub, float *noise, vka_error *err)
{
    vka_noise_source other;
    if (!(sub.share > 0.0))
        return VKA_OK;
    size_t planes = (size_t)src->frames * src->channels;
    float *drawn = vka_calloc(planes * src->plane, sizeof *drawn);
    vka_status status = drawn ? vka_noise_open(&other, src->rng[0].kind, src->layout, sub.seed, src->frames,
                                               src->channels, src->height, src->width, err)
                              : vka_fail(err, VKA_E_MEMORY, "no memory for the noise of %u frames", src->frames);
    if (status == VKA_OK) {
        vka_noise_draw(&other, drawn);
        vka_noise_close(&other);
        for (size_t p = 0; p < planes; p++)
            for (size_t x = 0; x < src->width; x++)
                turn(noise + p * src->plane + x, drawn + p * src->plane + x, src->height, src->width, sub.share);
    }
    free(drawn);
    return status;
}

void vka_noise_draw(vka_noise_source *src, float *out)
{
    size_t frame = src->channels * src->plane;
    if (src->layout == VKA_NOISE_FRAME) {
        for (uint32_t i = 0; i < src->frames; i++)
            vka_rng_normal(&src->rng[i], out + i * frame, frame);
        return;
    }
    vka_rng_normal(src->rng, src->scratch ? src->scratch : out, src->frames * frame);
    if (!src->scratch)
        return;
    const float *from = src->scratch; /* [C,F,h,w] -> [F,C,h,w] */
    for (uint32_t c = 0; c < src->channels; c++)
        for (uint32_t f = 0; f < src->frames; f++, from += src->plane)
            memcpy(out + f * frame + c * src->plane, from, src->plane * sizeof(float));
}

void vka_noise_close(vka_noise_source *src)
{
    free(src->rng);
    free(src->scratch);
    memset(src, 0, sizeof *src);
}

vka_status vka_noise(vka_rng_kind kind, vka_noise_layout layout, uint64_t seed, uint32_t frames, uint32_t channels,
                     uint32_t height, uint32_t width, float *out, vka_error *err)
{
    vka_noise_source src;
    vka_status status = vka_noise_open(&src, kind, layout, seed, frames, channels, height, width, err);
    if (status != VKA_OK)
        return status;
    vka_noise_draw(&src, out);
    vka_noise_close(&src);
    return VKA_OK;
}

size_t vka_noise_state_bytes(const vka_noise_source *src)
{
    return (size_t)src->generators * VKA_RNG_STATE_BYTES;
}

void vka_noise_save(const vka_noise_source *src, uint8_t *out)
{
    for (uint32_t i = 0; i < src->generators; i++)
        vka_rng_save(&src->rng[i], out + (size_t)i * VKA_RNG_STATE_BYTES);
}

bool vka_noise_load(vka_noise_source *src, const uint8_t *in, size_t bytes)
{
    if (bytes != vka_noise_state_bytes(src))
        return false;
    vka_rng probe;
    for (uint32_t i = 0; i < src->generators; i++) /* all or nothing */
        if (!vka_rng_load(&probe, in + (size_t)i * VKA_RNG_STATE_BYTES) || probe.kind != src->rng[i].kind)
            return false;
    for (uint32_t i = 0; i < src->generators; i++)
        vka_rng_load(&src->rng[i], in + (size_t)i * VKA_RNG_STATE_BYTES);
    return true;
}
