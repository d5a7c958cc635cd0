/* test_sampler_golden.c - every sampler through a whole render of the small random-weight model, and what its trace holds.
 *
 * From the traced noise, model outputs and drawn noise, vka_sampler_apply in double must come to the traced latents after
 * each step: names, order and number of the tensors are the contract's, and no operation has gone astray.  Needs a Vulkan
 * device; lavapipe will do. */
#define _XOPEN_SOURCE 700
#include "golden/redraw.h"
#include "render/setup.h"
#include "weights/safetensors.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkanim/vkanim.h>

enum { VALUES = 2 * 4 * 6 * 5 }; /* frames, channels, latent height and width */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static bool tensor(const vka_safetensors *file, const char *name, double out[VALUES])
{
    const vka_weight *w = vka_safetensors_find(file, name);
    static float values[VALUES];
    if (!w || vka_weight_count(w) != VALUES) {
        printf("    %s is missing, or of another size\n", name);
        return false;
    }
    vka_dtype_to_f32(values, w->data, w->dtype, VALUES);
    for (int i = 0; i < VALUES; i++)
        out[i] = (double)values[i];
    return true;
}

static bool indexed(const vka_safetensors *file, const char *kind, uint32_t step, uint32_t k, double out[VALUES])
{
    char name[48];
    if (k)
        snprintf(name, sizeof name, "%s.%03u.%u", kind, step, k);
    else
        snprintf(name, sizeof name, "%s.%03u", kind, step);
    return tensor(file, name, out);
}

/* The furthest that a step's latents are from the reference, relative to its largest value; infinity: a tensor lacks. */
static double follow(const vka_sampler *s, const vka_safetensors *trace)
{
    static double slot[VKA_SLOTS][VALUES], latents[VALUES];
    double *slots[VKA_SLOTS], worst = 0.0;
    uint32_t drawn = 0;
    for (int k = 0; k < VKA_SLOTS; k++)
        slots[k] = slot[k];
    if (!tensor(trace, "noise", slot[VKA_SLOT_X]))
        return INFINITY;
    for (int i = 0; i < VALUES; i++)
        slot[VKA_SLOT_X][i] *= vka_sampler_init_noise_scale(s);
    for (uint32_t i = 0; i < vka_sampler_evals(s); i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s, i);
        drawn = e->stage ? drawn : 0;
        if (!indexed(trace, "eps", e->step, e->stage, slot[VKA_SLOT_EPS]) ||
            (e->draws_noise && !indexed(trace, "step_noise", e->step, drawn++, slot[VKA_SLOT_NOISE])))
            return INFINITY;
        vka_sampler_apply(e, slots, VALUES);
        if (!e->ends_step)
            continue;
        double most = 0.0, off = 0.0;
        if (!indexed(trace, "latents", e->step, 0, latents))
            return INFINITY;
        for (int k = 0; k < VALUES; k++) {
            most = fmax(most, fabs(slot[VKA_SLOT_X][k]));
            off = fmax(off, fabs(slot[VKA_SLOT_X][k] - latents[k]));
        }
        worst = fmax(worst, off / most);
    }
    return worst;
}

static vka_status set(vka_job *job, const char *name, const char *format, const char *at, vka_error *err)
{
    char value[512];
    snprintf(value, sizeof value, format, at);
    return vka_job_set(job, name, value, err);
}

static bool run(vka_context *cx, const char *sampler, const char *schedule, const char *models, const char *sets,
                const char *scratch)
{
    static const char *const fixed[][2] = {{"width", "10"}, {"height", "12"},    {"frames", "2"},   {"steps", "3"},
                                           {"cfg", "1"},    {"motion", "none"},  {"seed", "7"},     {"overwrite", "true"},
                                           {"precision", "f32"}};
    vka_error err = {0};
    vka_job *job = vka_job_create();
    struct vka_setup setup = {0};
    vka_safetensors trace = {0};
    char path[512], *report = NULL;
    double off = INFINITY;
    snprintf(path, sizeof path, "%s/trace.safetensors", scratch);
    vka_status st = job ? VKA_OK : VKA_E_MEMORY;
    for (size_t i = 0; st == VKA_OK && i < sizeof fixed / sizeof *fixed; i++)
        st = vka_job_set(job, fixed[i][0], fixed[i][1], &err);
    st = st == VKA_OK ? set(job, "model", "%s/model", models, &err) : st;
    st = st == VKA_OK ? set(job, "embeds", "%s/ddim-embeds.in.safetensors", sets, &err) : st;
    st = st == VKA_OK ? set(job, "trace", "%s/trace.safetensors", scratch, &err) : st;
    st = st == VKA_OK ? set(job, "output", "%s/out.y4m", scratch, &err) : st;
    st = st == VKA_OK ? set(job, "sampler", "%s", sampler, &err) : st;
    st = st == VKA_OK ? set(job, "schedule", "%s", schedule, &err) : st;
    if (st == VKA_OK)
        st = vka_render(cx, job, &report, &err);
    if (st == VKA_OK)
        st = vka_setup_open(&setup, job, VKA_NEED_UNET | VKA_NEED_VAE | VKA_NEED_CLIP, &(vka_log){0}, &err);
    if (st == VKA_OK)
        st = vka_safetensors_open(&trace, path, &err);
    if (st == VKA_OK)
        off = follow(setup.sampler, &trace);
    else
        printf("    %s\n", err.what);
    bool ok = off < 2e-6;
    printf("%-13s %-8s %u evaluations: %.1e from double%s\n", sampler, schedule,
           setup.sampler ? vka_sampler_evals(setup.sampler) : 0, off, ok ? "" : "  FAILED");
    vka_safetensors_close(&trace);
    vka_setup_close(&setup);
    vka_job_destroy(&job);
    vka_free(report);
    fflush(stdout);
    return ok;
}

int main(void)
{
    const char *root = getenv("VKA_TEST_ROOT"), *name; /* of a tree that has moved since it was built */
    char set_path[384], tokenizer[384], scratch[] = "/tmp/vkanim-samplers-XXXXXX", models[64];
    vka_error err = {0};
    vka_context *cx = NULL;
    size_t failed = 0;
    bool built;
    snprintf(set_path, sizeof set_path, "%s/tests/golden/tiny", root ? root : VKA_SOURCE_DIR);
    snprintf(tokenizer, sizeof tokenizer, "%s/models/miniature/tokenizer", root ? root : VKA_SOURCE_DIR);
    if (!mkdtemp(scratch))
        return 1;
    snprintf(models, sizeof models, "%s/models", scratch);
    if (vka_test_redraw(set_path, tokenizer, models, &err) != VKA_OK || vka_context_create(&cx, NULL, &err) != VKA_OK) {
        printf("%s\n", err.what);
        failed = 1;
    }
    for (uint32_t i = 0; cx && (name = vka_sampler_list(i, &built)); i++)
        failed += !run(cx, name, i % 2 ? "karras" : "auto", models, set_path, scratch);
    vka_context_destroy(&cx);
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("%zu failed\n", failed);
    return failed != 0;
}
