/* noise_kind.c - see noise_kind.h.  Everything is a copy from an earlier frame, so that frames are gone through upwards and
 * nothing but one order is kept. */
#include "sample/noise_kind.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"random", "constant", "repeated", "shuffled"};

vka_status vka_noise_kind_from_name(const char *name, vka_noise_kind *out, vka_error *err)
{
    for (int i = 0; i <= VKA_NOISE_KIND_SHUFFLED; i++)
        if (!strcmp(name, kinds[i])) {
            *out = (vka_noise_kind)i;
            return VKA_OK;
        }
    return vka_fail(err, VKA_E_USAGE, "unknown kind of noise '%.100s'", name);
}

const char *vka_noise_kind_name(vka_noise_kind kind)
{
    return kinds[kind];
}

static void copy_frame(float *noise, size_t values, uint32_t to, uint32_t from)
{
    memcpy(noise + to * values, noise + from * values, values * sizeof *noise);
}

static vka_status shuffle(uint32_t frames, size_t values, uint32_t length, uint32_t stride, vka_rng *rng, float *noise,
                          vka_error *err)
{
    uint32_t *order = vka_calloc(stride, sizeof *order);
    if (!order)
        return vka_fail(err, VKA_E_MEMORY, "out of memory for the noise of %u frames", frames);
    for (uint32_t group = length; group < frames; group += vka_min_u32(stride, frames - group)) {
        vka_rng_permute(rng, order, stride);
        for (uint32_t i = 0; i < stride && group + i < frames; i++)
            copy_frame(noise, values, group + i, group - length + order[i]);
    }
    free(order);
    return VKA_OK;
}

vka_status vka_noise_kind_apply_from(vka_noise_kind kind, uint32_t frames, size_t values, uint32_t length, uint32_t stride,
                                     vka_rng *rng, float *noise, vka_error *err)
{
    if (kind == VKA_NOISE_KIND_RANDOM) /* of a clip without windows too */
        return VKA_OK;
    if (!length || !stride || stride > length)
        return vka_fail(err, VKA_E_USAGE, "no noise of %u frames in windows of %u that are %u apart", frames, length, stride);
    switch (kind) {
    case VKA_NOISE_KIND_RANDOM: break;
    case VKA_NOISE_KIND_CONSTANT:
        for (uint32_t f = 1; f < frames; f++)
            copy_frame(noise, values, f, 0);
        break;
    case VKA_NOISE_KIND_REPEATED:
        for (uint32_t f = length; f < frames; f++)
            copy_frame(noise, values, f, f - length);
        break;
    case VKA_NOISE_KIND_SHUFFLED: return shuffle(frames, values, length, stride, rng, noise, err);
    }
    return VKA_OK;
}

vka_status vka_noise_kind_apply(vka_noise_kind kind, uint32_t frames, size_t values, uint32_t length, uint32_t stride,
                                uint64_t seed, float *noise, vka_error *err)
{
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, seed);
    return vka_noise_kind_apply_from(kind, frames, values, length, stride, &rng, noise, err);
}

vka_status vka_noise_kind_apply_source(vka_noise_kind kind, vka_noise_source *source, uint32_t length, uint32_t stride,
                                       float *noise, vka_error *err)
{
    size_t values = source->plane * source->channels;
    if (source->layout == VKA_NOISE_FRAME)
        return vka_noise_kind_apply(kind, source->frames, values, length, stride, source->rng[0].seed, noise, err);
    return vka_noise_kind_apply_from(kind, source->frames, values, length, stride, &source->rng[0], noise, err);
}
