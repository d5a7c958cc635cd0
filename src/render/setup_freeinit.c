/* setup_freeinit.c - --freeinit and its options: rounds, filter, samplers.  See setup.h. */
#include "render/setup_parts.h"

#include "base/number.h"

#include <stdlib.h>
#include <string.h>

/* "SPACE[:TIME]", each from 0 to 1; without TIME both are SPACE. */
static vka_status read_cutoff(const char *text, struct vka_lowpass_params *p, vka_error *err)
{
    double v[2] = {0, 0};
    char *end = NULL;
    const char *at = text;
    int n = 0;
    while (n < 2) {
        v[n++] = vka_parse_real(at, &end);
        if (end == at || !(v[n - 1] >= 0 && v[n - 1] <= 1) || *end != ':')
            break;
        at = end + 1;
    }
    if (end == at || *end || !(v[n - 1] >= 0 && v[n - 1] <= 1)) {
        vka_fail(err, VKA_E_USAGE, "--freeinit-cutoff '%.100s' is not one number from 0 to 1, or two with a colon between them", text);
        vka_error_hint(err, "0.25:0.25 is the default: a quarter of the highest frequency in space, and in time");
        return VKA_E_USAGE;
    }
    p->space = v[0];
    p->time = n > 1 ? v[1] : v[0];
    return VKA_OK;
}

/* A coarse round: its share of the steps (the paper's coarse-to-fine sampling), one at least. */
static vka_status make_samplers(struct vka_setup *s, vka_error *err)
{
    struct vka_setup_freeinit *f = &s->freeinit;
    vka_sampler *all[VKA_FREEINIT_ROUNDS + 1] = {s->sampler};
    for (uint32_t i = 0; i < f->rounds; i++) {
        vka_sampler_params p = s->sampling;
        p.steps = vka_max_u32((uint32_t)((double)p.steps / (f->rounds + 1) * (i + 1)), 1);
        f->sampler[i] = all[i + 1] = vka_sampler_create(&p, err);
        if (!f->sampler[i])
            return err ? err->status : VKA_E_USAGE;
    }
    return vka_sampler_unite(all, f->rounds + 1, err);
}

vka_status vka_setup_freeinit(struct vka_setup *s, vka_error *err)
{
    static const char *const needs[] = {"freeinit-filter", "freeinit-cutoff", "freeinit-order", "freeinit-fast"};
    static const char *const images[] = {"init", "init-last", "keyframe", "init-video"};
    const struct vka_job *j = s->job;
    struct vka_setup_freeinit *f = &s->freeinit;
    *f = (struct vka_setup_freeinit){.rounds = (uint32_t)j->freeinit, .fast = j->freeinit_fast,
                                     .filter = {.order = (uint32_t)j->freeinit_order}};
    for (size_t i = 0; !vka_job_has(j, "freeinit") && i < sizeof needs / sizeof *needs; i++)
        if (vka_job_has(j, needs[i])) {
            vka_fail(err, VKA_E_USAGE, "--%s is for --freeinit, and there are no further rounds", needs[i]);
            vka_error_hint(err, "--freeinit 3");
            return VKA_E_USAGE;
        }
    for (size_t i = 0; f->rounds && i < sizeof images / sizeof *images; i++)
        if (vka_job_has(j, images[i]))
            return vka_fail(err, VKA_E_USAGE, "--freeinit is for clips that begin from noise alone: not with --%s", images[i]);
    if (!f->rounds)
        return VKA_OK;
    vka_status st = vka_lowpass_from_name(j->freeinit_filter ? j->freeinit_filter : "butterworth", &f->filter.filter, err);
    if (st == VKA_OK)
        st = read_cutoff(j->freeinit_cutoff ? j->freeinit_cutoff : "0.25:0.25", &f->filter, err);
    float *alphas = vka_calloc(s->sampling.train_steps, sizeof *alphas);
    if (st == VKA_OK && !alphas)
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK) {
        vka_alphas_cumprod(&s->sampling, alphas);
        f->kept = (double)alphas[s->sampling.train_steps - 1];
    }
    free(alphas);
    return st == VKA_OK && f->fast ? make_samplers(s, err) : st;
}

void vka_setup_freeinit_close(struct vka_setup *s)
{
    for (uint32_t i = 0; i < VKA_FREEINIT_ROUNDS; i++)
        vka_sampler_free(s->freeinit.sampler[i]);
}
