/* setup_text.c - the prompts of a job: drawn, read and as tokens.  See setup.h. */
#include "render/setup_parts.h"

#include "base/file.h"
#include "text/wildcards.h"

#include "text/travel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static vka_status open_tokenizer(struct vka_setup *s, vka_error *err)
{
    if (s->tokenizer)
        return VKA_OK;
    const char *dir = s->job->tokenizer && *s->job->tokenizer ? s->job->tokenizer : vka_model_tokenizer(s->model);
    vka_status st;
    if (dir)
        st = vka_tokenizer_open(&s->tokenizer, dir, err);
    else { /* a single file brings none: CLIP's own vocabulary, where it was installed */
        char *path = NULL;
        const char *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME");
        static const char name[] = "vkanim/clip-vit-large-patch14";
        if (xdg && *xdg)
            path = vka_path_join(xdg, name);
        else if (home)
            path = vka_asprintf("%s/.local/share/%s", home, name);
        const char *system[] = {"/usr/local/share/vkanim/clip-vit-large-patch14", "/usr/share/vkanim/clip-vit-large-patch14"};
        for (int i = 0; i < 2 && (!path || !vka_path_exists(path)); i++) {
            free(path);
            path = vka_strdup(system[i]);
        }
        if (!path || !vka_path_exists(path)) {
            vka_fail(err, VKA_E_INPUT, "a single-file model brings no tokenizer, and CLIP's vocabulary is not installed");
            vka_error_hint(err, "run vkanim's scripts/install-clip-vocabulary once, or give a folder with --tokenizer");
            free(path);
            return VKA_E_INPUT;
        }
        st = vka_tokenizer_open(&s->tokenizer, path, err);
        free(path);
    }
    if (st == VKA_OK && vka_tokenizer_size(s->tokenizer) > s->text->vocab)
        st = vka_fail(err, VKA_E_INPUT, "the tokenizer has %u tokens, the text encoder only %u",
                      vka_tokenizer_size(s->tokenizer), s->text->vocab);
    return st;
}

/* ---- prompts as they are typed ------------------------------------------------------------------------------ */

static void free_prompts(struct vka_setup_prompts *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->shown)
            free(p->shown[i]);
        if (p->text)
            free(p->text[i]);
    }
    free(p->shown);
    free(p->text);
    *p = (struct vka_setup_prompts){0};
}

void vka_setup_prompts_close(struct vka_setup *s)
{
    free_prompts(&s->prompt);
    free_prompts(&s->negative);
    vka_embeddings_close(&s->embeddings);
}

static vka_status draw_prompts(const struct vka_setup *s, struct vka_setup_prompts *p, const char *text, uint32_t stream,
                               vka_error *err)
{
    const char *dir = s->job->wildcards && *s->job->wildcards ? s->job->wildcards : NULL;
    uint32_t count = dir ? s->count : 1;
    vka_status st = VKA_OK;
    p->shown = vka_calloc(count, sizeof *p->shown);
    p->text = vka_calloc(count, sizeof *p->text);
    if (!p->shown || !p->text) {
        free_prompts(p);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    p->count = count;
    for (uint32_t k = 0; st == VKA_OK && k < count; k++) {
        if (dir)
            st = vka_wildcards_resolve(dir, text, s->seed + k, stream, &p->shown[k], err);
        else if (!(p->shown[k] = vka_strdup(text)))
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    return st;
}

static bool same_networks(const struct vka_prompt_networks *a, const struct vka_prompt_networks *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = !strcmp(a->items[i].kind, b->items[i].kind) && !strcmp(a->items[i].name, b->items[i].name) &&
               fabs(a->items[i].weight - b->items[i].weight) <= 0 && fabs(a->items[i].te_weight - b->items[i].te_weight) <= 0;
    return same;
}

/* What the prompt asks to be added to the model. */
static vka_status add_networks(struct vka_setup *s, const struct vka_prompt_networks *list, const vka_log *log, vka_error *err)
{
    vka_status st = VKA_OK;
    for (size_t i = 0; st == VKA_OK && i < list->count; i++) {
        const struct vka_prompt_network *n = &list->items[i];
        if (!strcmp(n->kind, "lora") || !strcmp(n->kind, "lyco"))
            st = vka_setup_lora_add(s, n->name, n->weight, n->te_weight, err);
        else
            vka_logf(log, VKA_LOG_WARN, "<%s:%s> in the prompt is left out: there are no networks of the kind '%s'", n->kind, n->name,
                     n->kind);
    }
    return st;
}

/* The prompts without <lora:...>; all clips must name the same. */
static vka_status cut_networks(struct vka_setup *s, const vka_log *log, vka_error *err)
{
    struct vka_prompt_networks first = {0};
    vka_status st = VKA_OK;
    for (uint32_t k = 0; st == VKA_OK && k < s->prompt.count; k++) {
        struct vka_prompt_networks list = {0};
        st = vka_prompt_cut_networks(s->prompt.shown[k], &s->prompt.text[k], &list, err);
        if (st == VKA_OK && k > 0 && !same_networks(&first, &list)) {
            st = vka_fail(err, VKA_E_USAGE, "the wildcards give the clips different LoRAs, and all clips of a job share one model");
            vka_error_hint(err, "render them one by one");
        }
        if (k == 0) {
            first = list;
            list = (struct vka_prompt_networks){0};
        }
        vka_prompt_networks_free(&list);
    }
    if (st == VKA_OK)
        st = add_networks(s, &first, log, err);
    vka_prompt_networks_free(&first);
    return st;
}

static vka_status take_as_shown(struct vka_setup_prompts *p, vka_error *err)
{
    for (uint32_t k = 0; k < p->count; k++)
        if (!(p->text[k] = vka_strdup(p->shown[k])))
            return vka_fail(err, VKA_E_MEMORY, "out of memory");
    return VKA_OK;
}

vka_status vka_setup_prompts(struct vka_setup *s, const vka_log *log, vka_error *err)
{
    const struct vka_job *j = s->job;
    vka_prompt_syntax_from_name(j->prompt_syntax ? j->prompt_syntax : "a1111", &s->syntax);
    vka_status st = draw_prompts(s, &s->prompt, j->prompt ? j->prompt : "", 0, err);
    if (st == VKA_OK)
        st = draw_prompts(s, &s->negative, j->negative ? j->negative : "", 1, err);
    if (st == VKA_OK)
        st = s->syntax == VKA_SYNTAX_A1111 ? cut_networks(s, log, err) : take_as_shown(&s->prompt, err);
    if (st == VKA_OK)
        st = take_as_shown(&s->negative, err);
    const struct vka_setup_prompts *text = s->syntax == VKA_SYNTAX_A1111 ? &s->negative : &s->prompt;
    if (st == VKA_OK && s->syntax != VKA_SYNTAX_PLAIN && strstr(text->shown[0], "<lora:"))
        vka_logf(log, VKA_LOG_WARN, "<lora:...> is plain text in %s",
                 text == &s->negative ? "a negative prompt" : "ComfyUI's syntax");
    return st;
}

const char *vka_setup_prompt(const struct vka_setup *s, bool negative, uint32_t clip)
{
    const struct vka_setup_prompts *p = negative ? &s->negative : &s->prompt;
    return p->count ? p->shown[clip < p->count ? clip : p->count - 1] : "";
}

/* ---- as tokens ---------------------------------------------------------------------------------------------- */

/* A1111 reads "16:9" at a prompt's end as a weight of 9, and so it is here; whoever did not mean it is told. */
static void tell_weights(const struct vka_prompts *p, const vka_log *log)
{
    for (uint32_t c = 0; p->conds == 1 && c < p->clips; c++)
        if (fabs(p->weight[c] - 1) > 0) {
            vka_logf(log, VKA_LOG_WARN, "the prompt ends in a colon and %g: that is its weight in guidance", p->weight[c]);
            return;
        }
}

/* The prompts that travel over the frames, [clips][2], those that do not with count 0; NULL where there are none.  A prompt that
 * says the same at all frames becomes that text in `clip`. */
static vka_status make_travels(struct vka_setup *s, struct vka_text_clip *clip, uint32_t clips, struct vka_travel **out, vka_error *err)
{
    const char *ease = s->job->travel_ease ? s->job->travel_ease : "linear";
    bool any = false;
    enum vka_ease e = VKA_EASE_LINEAR;
    vka_status st = VKA_OK;
    *out = NULL;
    for (uint32_t k = 0; s->frames && k < clips; k++)
        any = any || vka_travel_is(clip[k].prompt) || vka_travel_is(clip[k].negative);
    if (!any)
        return VKA_OK;
    vka_ease_from_name(ease, strlen(ease), &e);
    struct vka_travel *t = vka_calloc(clips, 2 * sizeof *t);
    if (!t)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    any = false;
    for (uint32_t k = 0; st == VKA_OK && k < 2 * clips; k++) {
        bool negative = k % 2 == 0;
        const char *prompt = negative ? clip[k / 2].negative : clip[k / 2].prompt;
        if (!vka_travel_is(prompt))
            continue;
        st = vka_travel_make(&t[k], negative ? "negative prompt" : "prompt", prompt, s->frames, vka_setup_closed(s), e, err);
        if (st == VKA_OK && t[k].text_count == 1) {
            char **text = negative ? &s->negative.text[k / 2] : &s->prompt.text[k / 2];
            free(*text);
            *text = t[k].texts[0];
            t[k].texts[0] = NULL;
            *(negative ? &clip[k / 2].negative : &clip[k / 2].prompt) = *text;
            vka_travel_free(&t[k]);
        }
        any = any || t[k].count;
    }
    if (st == VKA_OK && any) {
        *out = t;
        return st;
    }
    for (uint32_t k = 0; k < 2 * clips; k++)
        vka_travel_free(&t[k]);
    free(t);
    return st;
}

vka_status vka_setup_texts(struct vka_setup *s, struct vka_texts *texts, struct vka_prompts *prompts, uint32_t steps, bool negative,
                           const vka_log *log, vka_error *err)
{
    const struct vka_job *j = s->job;
    uint32_t clips = s->prompt.count;
    struct vka_text_clip *clip = vka_calloc(clips, sizeof *clip);
    vka_status st = clip ? open_tokenizer(s, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK && s->syntax != VKA_SYNTAX_PLAIN)
        st = vka_embeddings_open(&s->embeddings, j, s->tokenizer, s->text->vocab, s->text->hidden, log, err);
    for (uint32_t k = 0; clip && k < clips; k++)
        clip[k] = (struct vka_text_clip){s->prompt.text[k], s->negative.text[k]};
    struct vka_travel *travels = NULL;
    if (st == VKA_OK)
        st = make_travels(s, clip, clips, &travels, err);
    if (st == VKA_OK) {
        struct vka_prompt_reader reader = {.tokenizer = s->tokenizer,
                                           .syntax = s->syntax,
                                           .length = s->text->max_positions,
                                           .comma_padding = s->syntax == VKA_SYNTAX_A1111 ? (uint32_t)j->comma_padding : 0,
                                           .words = s->syntax == VKA_SYNTAX_PLAIN ? NULL : &s->embeddings.words,
                                           .log = log};
        bool repeat = j->pad_prompt && !strcmp(j->pad_prompt, "repeat");
        st = vka_texts_make_travel(texts, prompts, &reader, repeat, clip, travels, clips, steps, negative, err);
        prompts->slerp = j->travel_blend && !strcmp(j->travel_blend, "slerp");
    }
    if (st == VKA_OK) {
        vka_embeddings_tell(&s->embeddings);
        tell_weights(prompts, log);
    }
    free(travels);
    free(clip);
    return st;
}
