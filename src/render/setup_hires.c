/* setup_hires.c - --hires and its options: size, steps and sampler of the second pass.  See setup.h. */
#include "render/setup_parts.h"

#include "base/number.h"
#include "render/init.h"

#include <math.h>
#include <string.h>

static const double usual_strength = 0.6;

/* "SCALE[:STRENGTH]". */
static vka_status read_scale(const char *text, struct vka_setup_hires *h, vka_error *err)
{
    char *end = NULL;
    h->strength = usual_strength;
    h->scale = vka_parse_real(text, &end);
    bool good = end != text && h->scale >= 1 && h->scale <= 8;
    if (good && *end == ':') {
        const char *at = end + 1;
        h->strength = vka_parse_real(at, &end);
        good = end != at && h->strength > 0 && h->strength <= 1;
    }
    if (good && !*end)
        return VKA_OK;
    vka_fail(err, VKA_E_USAGE, "--hires '%.100s' is not a scale from 1 to 8, or one with a strength above 0 up to 1 behind a colon",
             text);
    vka_error_hint(err, "--hires 2:%.1f", usual_strength);
    return VKA_E_USAGE;
}

void vka_setup_hires_size(struct vka_setup *s)
{
    struct vka_setup_hires *h = &s->hires;
    if (!h->sampler)
        return;
    h->width = vka_max_u32((uint32_t)floor(s->width * h->scale / s->factor + 0.5), 1) * s->factor;
    h->height = vka_max_u32((uint32_t)floor(s->height * h->scale / s->factor + 0.5), 1) * s->factor;
}

vka_status vka_setup_hires(struct vka_setup *s, vka_error *err)
{
    static const char *const names[] = {"latent", "latent-nearest", "latent-bicubic", "picture"};
    const struct vka_job *j = s->job;
    struct vka_setup_hires *h = &s->hires;
    *h = (struct vka_setup_hires){.upscaler = VKA_HIRES_LATENT};
    if (!j->hires) {
        const char *needs = vka_job_has(j, "hires-upscaler") ? "hires-upscaler" : vka_job_has(j, "hires-steps") ? "hires-steps" : NULL;
        if (!needs)
            return VKA_OK;
        vka_fail(err, VKA_E_USAGE, "--%s is for --hires, and there is no second pass", needs);
        vka_error_hint(err, "--hires 2");
        return VKA_E_USAGE;
    }
    vka_status st = read_scale(j->hires, h, err);
    if (st == VKA_OK && j->step_noise) {
        vka_fail(err, VKA_E_USAGE, "--step-noise has no tensors of the size that the second pass of --hires has");
        vka_error_hint(err, "leave one of them out");
        st = VKA_E_USAGE;
    }
    if (st != VKA_OK)
        return st;
    for (int i = 0; j->hires_upscaler && i < 4; i++)
        if (!strcmp(j->hires_upscaler, names[i]))
            h->upscaler = (enum vka_hires_upscaler)i;
    vka_sampler_params p = s->sampling;
    if (vka_job_has(j, "hires-steps"))
        p.steps = (uint32_t)j->hires_steps;
    p.begin = vka_init_first_step(p.steps, h->strength);
    if (p.begin >= p.steps) {
        vka_fail(err, VKA_E_USAGE, "--hires with strength %g runs none of its %u steps", h->strength, p.steps);
        vka_error_hint(err, "a greater strength, or more of --hires-steps");
        return VKA_E_USAGE;
    }
    h->steps = p.steps;
    h->sampler = vka_sampler_create(&p, err);
    if (!h->sampler)
        return err ? err->status : VKA_E_USAGE;
    vka_setup_hires_size(s);
    return VKA_OK;
}
