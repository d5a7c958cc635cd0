/* infotext_apply.c - infotext to a job's options.  See infotext.h.
 *
 * What the web UI does without saying so is set too: noise as an NVIDIA card draws it, unless RNG says otherwise, and frame by
 * frame from seeds that count up.  Nothing is passed over in silence: what has no equal here becomes a note. */
#include "base/mem.h"
#include "base/number.h"
#include "render/infotext.h"
#include "render/library.h"
#include "render/options.h"
#include "sample/windows.h"
#include "text/travel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct apply {
    struct vka_infotext *info;
    struct vka_job *job;
    bool failed; /* memory */
    char rest[300]; /* "Key: value"s that have no equal */
};

static bool same(const char *a, const char *b)
{
    return vka_library_same(a, strlen(a), b, strlen(b), true);
}

/* The value of a key, which counts as used from here on. */
static const char *take(struct vka_infotext_pairs *pairs, const char *key)
{
    const char *value = NULL;
    for (size_t i = 0; i < pairs->count; i++)
        if (same(pairs->items[i].key, key)) {
            pairs->items[i].used = true;
            value = value ? value : pairs->items[i].value;
        }
    return value;
}

/* Takes `text`, which may be NULL. */
static void add_note(struct apply *a, const char *unless, char *text)
{
    a->failed = !vka_job_note(a->job, unless, text) || a->failed;
}

static void set(struct apply *a, const char *option, const char *key, const char *value)
{
    vka_error e = {0};
    vka_status st = value ? vka_job_set(a->job, option, value, &e) : VKA_OK;
    if (st == VKA_E_MEMORY)
        a->failed = true;
    else if (st != VKA_OK)
        add_note(a, option, vka_asprintf("'%.80s: %.80s' is not taken over: %.200s", key, value, e.what));
}

static void set_from(struct apply *a, struct vka_infotext_pairs *pairs, const char *option, const char *key)
{
    set(a, option, key, take(pairs, key));
}

static void add_rest(struct apply *a, const char *key, const char *value)
{
    size_t n = strlen(a->rest);
    if (n + 40 < sizeof a->rest)
        snprintf(a->rest + n, sizeof a->rest - n, "%s%.60s: %.40s", n ? ", " : "", key, value);
    else if (strcmp(a->rest + n - 3, "...") != 0)
        snprintf(a->rest + n, sizeof a->rest - n, ", ...");
}

/* ---- sampling ----------------------------------------------------------------------------------------------------------- */

static void apply_sampler(struct apply *a, bool own)
{
    static const struct {
        const char *sampler, *usual, *automatic; /* without a word about it, before 1.9; "Automatic" since */
    } usual[] = {
        {"ddim", "leading", "leading"},     {"pndm", "leading", "leading"},           {"dpm2", "linspace", "karras"},
        {"dpm2-a", "linspace", "karras"},   {"dpmpp-2m", "linspace", "karras"},       {"dpmpp-sde", "linspace", "karras"},
        {"dpmpp-2s-a", "linspace", "karras"}, {"dpmpp-2m-sde", "linspace", "exponential"}, {"dpmpp-3m-sde", "linspace", "exponential"},
        {"euler", "linspace", "linspace"},  {"euler-a", "linspace", "linspace"},      {"heun", "linspace", "linspace"},
        {"lms", "linspace", "linspace"},
    };
    const char *name = take(&a->info->pairs, "Sampler"), *type = take(&a->info->pairs, "Schedule type"), *schedule = NULL;
    const char *ours = name ? vka_infotext_sampler_from(name, &schedule) : NULL;
    if (name && !ours)
        add_note(a, "sampler", vka_asprintf("the sampler '%.80s' has no equal here: --sampler", name));
    set(a, "sampler", "Sampler", ours);
    bool automatic = type && same(type, "Automatic");
    if (type && !automatic) {
        schedule = vka_infotext_schedule_from(type);
        if (!schedule)
            add_note(a, "schedule", vka_asprintf("the schedule '%.80s' has no equal here: --schedule", type));
    } else if (!schedule && ours && !own)
        for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
            if (strcmp(usual[i].sampler, ours) == 0)
                schedule = automatic ? usual[i].automatic : usual[i].usual;
    set(a, "schedule", type ? "Schedule type" : "Sampler", schedule);
}

static void apply_size(struct apply *a)
{
    const char *size = take(&a->info->pairs, "Size"), *x = size ? strchr(size, 'x') : NULL;
    char width[16];
    if (!size)
        return;
    if (!x || x - size > 8) {
        add_rest(a, "Size", size);
        return;
    }
    snprintf(width, sizeof width, "%.*s", (int)(x - size), size);
    set(a, "width", "Size", width);
    set(a, "height", "Size", x + 1);
}

static void apply_noise(struct apply *a, bool own)
{
    const char *rng = take(&a->info->pairs, "RNG"), *layout = take(&a->info->pairs, "Noise layout");
    set(a, "rng", "RNG", rng && same(rng, "CPU") ? "torch-cpu" : rng || !own ? "nv" : NULL);
    set(a, "noise-layout", "Noise layout", layout ? layout : own ? NULL : "frame");
    const char *strength = take(&a->info->pairs, "Variation seed strength"), *seed = take(&a->info->pairs, "Variation seed");
    if (strength) {
        set(a, "subseed-strength", "Variation seed strength", strength);
        set(a, "subseed", "Variation seed", seed);
    }
    const char *eta = take(&a->info->pairs, "Eta"), *ddim = take(&a->info->pairs, "Eta DDIM");
    set(a, "eta", "Eta", eta ? eta : ddim);
}

/* Lines of frames in a prompt: between them the extension takes the arc. */
static void apply_travel(struct apply *a, bool own)
{
    const char *blend = take(&a->info->pairs, "Travel blend"), *ease = take(&a->info->pairs, "Travel ease");
    bool travels = vka_travel_is(a->info->prompt) || vka_travel_is(a->info->negative);
    set(a, "travel-blend", "Travel blend", blend ? blend : travels && !own ? "slerp" : NULL);
    set(a, "travel-ease", "Travel ease", ease);
}

/* ---- the extension's ------------------------------------------------------------------------------------------------------ */

static bool is_one_of(const char *value, const char *const *list)
{
    for (; *list; list++)
        if (same(value, *list))
            return true;
    return false;
}

/* The extension closes no loop of a clip that is one piece, whatever it says: "closed_loop: R-P" is its default. */
static void apply_loop(struct apply *a, const char *frames, bool own)
{
    struct vka_infotext_pairs *p = &a->info->animatediff;
    const char *letters = vka_infotext_get(p, "closed_loop"), *length = vka_infotext_get(p, "batch_size");
    char *end;
    if (!letters || (!own && (!frames || !length || vka_parse_real(frames, &end) <= vka_parse_real(length, &end))))
        return;
    for (int i = VKA_LOOP_REDUCED; i <= VKA_LOOP_ALWAYS; i++)
        if (same(letters, vka_loop_letters((vka_loop)i)))
            set(a, "loop", "closed_loop", take(p, "closed_loop") ? vka_loop_name((vka_loop)i) : NULL);
}

static void apply_animatediff(struct apply *a, bool own)
{
    /* what says nothing, or is what it is anyway */
    static const char *const quiet[] = {"enable", "version", "format", "request_id", "mm_hash", "interp_x", "freeinit_filter",
                                        "freeinit_ds", "freeinit_dt", "freeinit_iters", "latent_scale", "latent_scale_last", NULL};
    static const char *const no[] = {"", "N", "None", "False", "Off", "0", "1", "1.0", NULL};
    struct vka_infotext_pairs *p = &a->info->animatediff;
    const char *frames = take(p, "video_length"), *overlap = take(p, "overlap"), *loops = take(p, "loop_number"),
               *enabled = vka_infotext_get(p, "enable");
    if (enabled && same(enabled, "False")) {
        add_note(a, NULL, vka_strdup("AnimateDiff was switched off: its settings are not taken over"));
        return;
    }
    set(a, "frames", "video_length", frames && strcmp(frames, "0") != 0 ? frames : NULL);
    set_from(a, p, "fps", "fps");
    set_from(a, p, "context-length", "batch_size");
    set_from(a, p, "context-stride", "stride");
    set(a, "context-overlap", "overlap", overlap && strcmp(overlap, "-1") != 0 ? overlap : NULL);
    apply_loop(a, frames, own);
    if (loops && strcmp(loops, "0") != 0)
        add_note(a, "plays", vka_asprintf("the clip was to be played %.10s times: --plays %.10s", loops, loops));
    take(p, "model");
    for (size_t i = 0; i < p->count; i++) {
        const struct vka_infotext_pair *pair = &p->items[i];
        if (!pair->used && !is_one_of(pair->key, quiet) && !is_one_of(pair->value, no))
            add_rest(a, pair->key, pair->value);
    }
}

/* ---- models: by name, which is never taken for a path (files come from anybody), for the caller to give ------------------------------------------------------------------------------- */

static void tell_model(struct apply *a, enum vka_library_kind kind, const char *option, const char *name, const char *hash)
{
    if (!name && !hash)
        return;
    char *both = vka_asprintf("%s [%s]", name ? name : "", hash ? hash : "");
    char *alone = hash ? vka_asprintf("[%s]", hash) : NULL, *stem = NULL, *found = NULL;
    if (name)
        stem = vka_asprintf("%.*s", (int)vka_library_stem(name), name);
    if (!both || (hash && !alone) || (name && !stem))
        a->failed = true;
    else {
        char *named = hash && stem ? vka_asprintf("%s [%s]", stem, hash) : NULL;
        found = name ? vka_find_named_model(kind, hash ? both : name, NULL) : NULL;
        if (!found && name)
            found = vka_find_named_model(kind, named ? named : stem, NULL);
        if (!found && alone)
            found = vka_find_named_model(kind, alone, NULL);
        free(named);
    }
    char *made = vka_asprintf("the picture was made with the %s '%.80s'%s%.16s%s", vka_library_kind_title(kind), name ? name : "?",
                              hash ? " (" : "", hash ? hash : "", hash ? ")" : "");
    if (!made)
        a->failed = true;
    else if (found)
        add_note(a, option, vka_asprintf("%s: --%s '%s' has that name or hash", made, option, found));
    else
        add_note(a, option, vka_asprintf("%s: give it with --%s", made, option));
    free(made);
    free(both);
    free(alone);
    free(stem);
    free(found);
}

static void tell_models(struct apply *a)
{
    struct vka_infotext_pairs *p = &a->info->pairs;
    const char *vae = take(p, "VAE"), *vae_hash = take(p, "VAE hash");
    const char *motion = vka_infotext_get(&a->info->animatediff, "model"), *hash = vka_infotext_get(&a->info->animatediff, "mm_hash");
    const char *model = take(p, "Model"), *model_hash = take(p, "Model hash");
    tell_model(a, VKA_LIBRARY_CHECKPOINT, "model", model, model_hash);
    tell_model(a, VKA_LIBRARY_MOTION, "motion", motion, hash);
    if (vae && !same(vae, "None") && !same(vae, "Automatic"))
        tell_model(a, VKA_LIBRARY_VAE, "vae", vae, vae_hash);
}

vka_status vka_infotext_apply(struct vka_infotext *info, struct vka_job *job, vka_error *err)
{
    /* said elsewhere, or of no effect on the picture */
    static const char *const quiet[] = {"AnimateDiff", "Version", "Lora hashes", "TI hashes", "TI", "Hashes", "User", NULL};
    struct apply a = {.info = info, .job = job};
    struct vka_infotext_pairs *p = &info->pairs;
    const char *version = vka_infotext_get(p, "Version");
    bool own = version && strncmp(version, "vkanim", 6) == 0;
    set(&a, "prompt", "prompt", info->prompt);
    set(&a, "negative", "negative prompt", info->negative);
    set_from(&a, p, "steps", "Steps");
    apply_sampler(&a, own);
    set_from(&a, p, "cfg", "CFG scale");
    set_from(&a, p, "seed", "Seed");
    apply_size(&a);
    set_from(&a, p, "clip-skip", "Clip skip");
    apply_noise(&a, own);
    apply_travel(&a, own);
    if (info->animatediff.count)
        apply_animatediff(&a, own);
    tell_models(&a);
    for (size_t i = 0; i < p->count; i++)
        if (!p->items[i].used && !is_one_of(p->items[i].key, quiet))
            add_rest(&a, p->items[i].key, p->items[i].value);
    if (a.rest[0])
        add_note(&a, NULL, vka_asprintf("not taken over, since nothing here is like it: %s", a.rest));
    return a.failed ? vka_fail(err, VKA_E_MEMORY, "out of memory") : VKA_OK;
}
