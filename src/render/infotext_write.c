/* infotext_write.c - the infotext of a clip, in the order and with the quotes that A1111 has.  See infotext.h. */
#include "base/file.h"
#include "base/mem.h"
#include "base/number.h"
#include "render/infotext.h"
#include "render/setup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    char *text;
    size_t size, capacity;
    bool failed, begun; /* begun: a pair stands before */
};

static void put(struct writer *w, const char *text)
{
    size_t n = strlen(text);
    char *more = w->failed ? NULL : vka_grow(w->text, &w->capacity, w->size + n + 1, 1);
    if (!more) {
        w->failed = true;
        return;
    }
    w->text = more;
    memcpy(more + w->size, text, n + 1);
    w->size += n;
}

/* ", key: value", in quotes where the value would not come back as it is. */
static void pair(struct writer *w, const char *key, const char *value)
{
    put(w, w->begun ? ", " : "");
    w->begun = true;
    put(w, key);
    put(w, ": ");
    if (!strpbrk(value, ",\n:\r\"")) {
        put(w, value);
        return;
    }
    json_t *j = json_string(value);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    put(w, quoted ? quoted : "");
    w->failed = w->failed || !quoted;
    free(quoted);
    json_decref(j);
}

static void pair_real(struct writer *w, const char *key, double value)
{
    char text[32];
    vka_format_real(text, sizeof text, value, 'g', 10);
    pair(w, key, text);
}

VKA_PRINTF(3, 4) static void pair_text(struct writer *w, const char *key, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pair(w, key, text);
}

/* The first digits of the hash of the only model of a kind; false when there is none, or several. */
static bool short_hash(const json_t *models, const char *kind, int digits, char out[16])
{
    const char *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        const char *k = json_string_value(json_object_get(m, "kind")), *sha = json_string_value(json_object_get(m, "sha256"));
        if (k && sha && strcmp(k, kind) == 0) {
            found = sha;
            count++;
        }
    }
    if (count == 1)
        snprintf(out, 16, "%.*s", digits, found);
    return count == 1;
}

/* "name: hash, name: hash" of the models of a kind, under what their `key` is. */
static void pair_hashes(struct writer *w, const char *title, const json_t *models, const char *kind, const char *key, int digits)
{
    struct writer inside = {0};
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        const char *k = json_string_value(json_object_get(m, "kind")), *name = json_string_value(json_object_get(m, "name")),
                   *hash = json_string_value(json_object_get(m, key));
        if (!k || !name || !hash || strcmp(k, kind) != 0)
            continue;
        char *stem = vka_asprintf("%.*s", (int)vka_library_stem(name), name);
        char text[72], *to = stem;
        for (const char *from = stem; from && *from; from++) /* as A1111 does, since the list is not quoted within */
            if (*from != ',' && *from != ':')
                *to++ = *from;
        if (stem)
            *to = '\0';
        snprintf(text, sizeof text, "%.*s", digits, hash);
        pair(&inside, stem ? stem : "", text);
        inside.failed = inside.failed || !stem;
        free(stem);
    }
    if (inside.size)
        pair(w, title, inside.text);
    w->failed = w->failed || inside.failed;
    free(inside.text);
}

static void put_animatediff(struct writer *w, const struct vka_setup *s, const json_t *models)
{
    struct writer p = {0};
    char hash[16];
    if (!s->motion)
        return;
    uint32_t length = s->windows.length ? s->windows.length : s->frames;
    pair(&p, "enable", "True");
    pair(&p, "model", vka_path_base(vka_motion_file(s->motion)));
    pair_text(&p, "video_length", "%u", s->frames);
    pair_real(&p, "fps", s->fps);
    pair_text(&p, "loop_number", "%lld", (long long)s->job->plays);
    pair(&p, "closed_loop", vka_loop_letters(s->loop));
    pair_text(&p, "batch_size", "%u", length);
    pair_text(&p, "stride", "%u", s->windows.length ? s->windows.stride : 1);
    if (s->windows.length)
        pair_text(&p, "overlap", "%u", s->windows.overlap);
    else
        pair(&p, "overlap", "-1");
    if (short_hash(models, "motion-module", 8, hash))
        pair(&p, "mm_hash", hash);
    pair(w, "AnimateDiff", p.text ? p.text : "");
    w->failed = w->failed || p.failed;
    free(p.text);
}

/* LoRAs of options as A1111 has them, which knows them in prompts only. */
static void put_loras(struct writer *w, const struct vka_setup *s)
{
    for (size_t i = 0; i < s->lora_count; i++) {
        const struct vka_setup_lora *l = &s->loras[i];
        const char *base = vka_path_base(l->path);
        char weight[32], text[32];
        if (l->prompted)
            continue;
        vka_format_real(weight, sizeof weight, l->weight, 'g', 6);
        vka_format_real(text, sizeof text, l->text_weight, 'g', 6);
        bool two = l->weight != l->text_weight;
        char *tag = vka_asprintf("%s<lora:%.*s:%s%s%s>", w->size ? " " : "", (int)vka_library_stem(base), base, weight,
                                 two ? ":" : "", two ? text : "");
        put(w, tag ? tag : "");
        w->failed = w->failed || !tag;
        free(tag);
    }
}

char *vka_infotext_write(const struct vka_setup *s, uint32_t clip, const json_t *models)
{
    struct writer w = {0};
    char hash[16];
    const char *prompt = vka_setup_prompt(s, false, clip), *negative = vka_setup_prompt(s, true, clip);
    put(&w, prompt ? prompt : "");
    put_loras(&w, s);
    if (negative && *negative) {
        put(&w, "\nNegative prompt: ");
        put(&w, negative);
    }
    put(&w, "\n");
    const char *sampler = vka_infotext_sampler(vka_sampler_name(s->sampling.sampler)),
               *schedule = vka_infotext_schedule(vka_schedule_name(vka_sampler_schedule(s->sampler)));
    pair_text(&w, "Steps", "%u", (unsigned)s->sampling.steps);
    pair(&w, "Sampler", sampler ? sampler : vka_sampler_name(s->sampling.sampler));
    pair(&w, "Schedule type", schedule ? schedule : "Automatic");
    pair_real(&w, "CFG scale", s->cfg);
    pair_text(&w, "Seed", "%" PRIu64, vka_setup_seed(s, clip));
    pair_text(&w, "Size", "%ux%u", s->width, s->height);
    if (short_hash(models, "checkpoint", 10, hash))
        pair(&w, "Model hash", hash);
    const char *base = vka_path_base(s->model_path);
    char *stem = vka_asprintf("%.*s", (int)vka_library_stem(base), base);
    pair(&w, "Model", stem ? stem : "");
    w.failed = w.failed || !stem;
    free(stem);
    if (s->vae_model && s->vae_model != s->model) {
        if (short_hash(models, "vae", 10, hash))
            pair(&w, "VAE hash", hash);
        pair(&w, "VAE", vka_path_base(vka_model_file(s->vae_model, 0)));
    }
    if (s->sub.share > 0) {
        pair_text(&w, "Variation seed", "%" PRIu64, vka_setup_subseed(s, clip));
        pair_real(&w, "Variation seed strength", s->sub.share);
    }
    if (s->skip)
        pair_text(&w, "Clip skip", "%u", s->skip + 1);
    if (s->sampling.eta >= 0) /* else the sampler's own */
        pair_real(&w, s->sampling.sampler == VKA_SAMPLER_DDIM ? "Eta DDIM" : "Eta", s->sampling.eta);
    pair(&w, "RNG", s->rng == VKA_RNG_NV ? "NV" : "CPU");
    pair(&w, "Noise layout", vka_noise_layout_name(s->layout));
    if (vka_travel_is(prompt) || vka_travel_is(negative)) {
        pair(&w, "Travel blend", s->job->travel_blend ? s->job->travel_blend : "lerp");
        pair(&w, "Travel ease", s->job->travel_ease ? s->job->travel_ease : "linear");
    }
    put_animatediff(&w, s, models);
    pair_hashes(&w, "Lora hashes", models, "lora", "lora_hash", 12);
    pair_hashes(&w, "TI hashes", models, "embedding", "sha256", 10);
    pair_text(&w, "Version", "vkanim %s", vka_version());
    if (!w.failed)
        return w.text;
    free(w.text);
    return NULL;
}
