/* setup_lora.c - the LoRAs of a job: options, prompt, weights.  See setup.h.
 *
 * They are merged in the order --lora, --motion-lora, prompt, each as given; what is changed is marked in the tables of the
 * model and of the motion module, so that networks built from them pack the merged weights. */
#include "render/setup_parts.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/number.h"
#include "render/library.h"
#include "render/report.h"
#include "sample/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A number that takes the whole of text[from, to). */
static bool number_at(const char *text, size_t from, size_t to, double *out)
{
    char copy[64], *end;
    if (from >= to || to - from >= sizeof copy)
        return false;
    memcpy(copy, text + from, to - from);
    copy[to - from] = '\0';
    double v = vka_parse_real(copy, &end);
    if (end == copy || *end || !isfinite(v))
        return false;
    *out = v;
    return true;
}

/* The last colon before `end`, or 0: a path does not begin with one that counts. */
static size_t colon_before(const char *text, size_t end)
{
    while (end > 0 && text[end - 1] != ':')
        end--;
    return end ? end - 1 : 0;
}

vka_status vka_lora_spec_parse(const char *text, char **path, double *weight, double *text_weight, vka_error *err)
{
    size_t end = strlen(text), colon;
    double numbers[2];
    int n = 0;
    while (n < 2 && !(n == 0 && vka_path_exists(text)) && (colon = colon_before(text, end)) > 0 &&
           number_at(text, colon + 1, end, &numbers[n])) {
        n++;
        end = colon;
    }
    *weight = n ? numbers[n - 1] : 1; /* the last was read first */
    *text_weight = n == 2 ? numbers[0] : *weight;
    *path = vka_asprintf("%.*s", (int)end, text);
    return *path ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

/* ---- opening ---- */

/* Says what a LoRA will not do. */
static void warn(const struct vka_setup *s, const struct vka_setup_lora *l)
{
    const vka_lora_info *f = vka_lora_describe(l->file);
    const vka_motion_info *m = s->motion_info;
    if (l->fit.unknown)
        vka_logf(s->log, VKA_LOG_WARN, "'%s': %zu of its %zu tensors belong to no layer of this model, such as %s", l->path,
                 l->fit.unknown, f->tensors, l->fit.names);
    if (vka_lora_is_motion(l->file) && !l->motion && !l->prompted)
        vka_logf(s->log, VKA_LOG_WARN, "'%s' changes motion: --motion-lora is its option", l->path);
    if (vka_lora_is_motion(l->file) && m &&
        (m->variant == VKA_MOTION_V1 || m->variant == VKA_MOTION_V3 || m->variant == VKA_MOTION_PIA))
        vka_logf(s->log, VKA_LOG_WARN,
                 "'%s' was made for a v2 motion module: it does little or nothing to the %s module '%s'", l->path,
                 vka_motion_variant_name(m->variant), s->motion_path ? s->motion_path : "");
}

static vka_status check_kind(const struct vka_setup *s, const struct vka_setup_lora *l, vka_error *err)
{
    bool motion = vka_lora_is_motion(l->file);
    if (l->motion && !motion) {
        vka_fail(err, VKA_E_INPUT, "'%.200s' is a LoRA for the picture, not for motion", l->path);
        vka_error_hint(err, "give it with --lora");
        return VKA_E_INPUT;
    }
    if (motion && s->unet && !s->motion) {
        vka_fail(err, VKA_E_INPUT, "'%.200s' changes motion modules, and there is none", l->path);
        vka_error_hint(err, "give one with --motion");
        return VKA_E_INPUT;
    }
    return VKA_OK;
}

/* Where it lies.  A prompt does not say what is for motion, so its names are looked up among both kinds. */
static char *find(const struct vka_setup *s, const struct vka_setup_lora *l, vka_error *err)
{
    vka_error first = {0};
    char *(*look_up)(enum vka_library_kind, const char *, vka_error *) =
        l->prompted && s->names_only ? vka_find_named_model : vka_find_model;
    char *path = look_up(l->motion ? VKA_LIBRARY_MOTION_LORA : VKA_LIBRARY_LORA, l->name, &first);
    if (!path && l->prompted && first.status == VKA_E_INPUT)
        path = look_up(VKA_LIBRARY_MOTION_LORA, l->name, NULL);
    if (!path && err && err->status == VKA_OK)
        *err = first;
    return path;
}

/* ---- weights over the frames ---- */

enum { MOST_WEIGHT = 100 };

/* Where NAME of "NAME=VALUES" ends. */
static size_t frames_name(const char *text)
{
    const char *sign = strrchr(text, '=');
    return sign ? (size_t)(sign - text) : 0;
}

/* Whether NAME, n bytes, means this LoRA: as it was given, or its file's name without ending. */
static bool is_named(const struct vka_setup_lora *l, const char *name, size_t n)
{
    const char *base = vka_path_base(l->path);
    return (strlen(l->name) == n && strncmp(l->name, name, n) == 0) ||
           vka_library_same(base, vka_library_stem(base), name, n, false) || (strlen(base) == n && strncmp(base, name, n) == 0);
}

static const char *frames_of(const struct vka_setup *s, const struct vka_setup_lora *l)
{
    const vka_text_list *list = &s->job->lora_frames;
    for (size_t i = list->count; i-- > 0;) { /* the last one given */
        size_t n = frames_name(list->items[i]);
        if (n && is_named(l, list->items[i], n))
            return list->items[i] + n + 1;
    }
    return NULL;
}

vka_status vka_setup_lora_frames_check(const struct vka_setup *s, vka_error *err)
{
    const vka_text_list *list = &s->job->lora_frames;
    for (size_t i = 0; i < list->count; i++) {
        size_t n = frames_name(list->items[i]), k = 0;
        if (!n) {
            vka_fail(err, VKA_E_USAGE, "--lora-frames '%.100s' is not NAME=VALUES", list->items[i]);
            vka_error_hint(err, "such as style=0:0, 15:1");
            return VKA_E_USAGE;
        }
        vka_status st = vka_values_parse("--lora-frames", list->items[i] + n + 1, -MOST_WEIGHT, MOST_WEIGHT, 0, NULL, err);
        if (st != VKA_OK)
            return st;
        while (k < s->lora_count && !is_named(&s->loras[k], list->items[i], n))
            k++;
        if (k == s->lora_count) {
            vka_fail(err, VKA_E_USAGE, "--lora-frames: there is no LoRA '%.*s'", (int)(n < 100 ? n : 100), list->items[i]);
            vka_error_hint(err, "give it with --lora, and its file's name without ending here");
            return VKA_E_USAGE;
        }
    }
    return VKA_OK;
}

vka_status vka_setup_lora_values(const struct vka_setup *s, size_t i, uint32_t frames, float **out, vka_error *err)
{
    size_t k = 0;
    for (size_t left = i;; k++)
        if (s->loras[k].frames && left-- == 0)
            break;
    double *values = vka_calloc(frames, sizeof *values);
    *out = vka_calloc(frames, sizeof **out);
    vka_status st = values && *out ? vka_values_parse_loop("--lora-frames", s->loras[k].frames, -MOST_WEIGHT, MOST_WEIGHT, frames,
                                                           vka_setup_closed(s), values, err)
                                   : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t f = 0; st == VKA_OK && f < frames; f++)
        (*out)[f] = (float)values[f];
    free(values);
    if (st != VKA_OK) {
        free(*out);
        *out = NULL;
    }
    return st;
}

json_t *vka_setup_lora_frames_json(const struct vka_setup *s)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; i < s->lora_count; i++) {
        const char *base = vka_path_base(s->loras[i].path);
        char *text = s->loras[i].frames ? vka_asprintf("%.*s=%s", (int)vka_library_stem(base), base, s->loras[i].frames) : NULL;
        if (s->loras[i].frames)
            vka_report_add(&whole, list, text ? json_string(text) : NULL);
        free(text);
    }
    if (whole)
        return list;
    json_decref(list);
    return NULL;
}

/* What is for UNet and motion module as products of its own; the text encoder's part is mixed in with its one weight. */
static vka_status add_travelling(struct vka_setup *s, struct vka_setup_lora *l, const struct vka_lora_tables *tables,
                                 vka_error *err)
{
    vka_lora_fit fit;
    if (!s->travel && !(s->travel = vka_lora_travel_create()))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status st = vka_lora_travel_add(s->travel, l->file, tables, &fit, err);
    if (st == VKA_OK)
        st = vka_lora_mix_add(s->mix, l->file, &(struct vka_lora_tables){.text = tables->text}, l->weight, l->text_weight, &l->fit,
                              err);
    l->fit.applied += fit.applied;
    return st;
}

/* Opens the LoRA and mixes it in; takes over `name`. */
static vka_status add(struct vka_setup *s, char *name, double weight, double text_weight, bool motion, bool prompted,
                      vka_error *err)
{
    struct vka_setup_lora l = {
        .name = name, .weight = weight, .text_weight = text_weight, .motion = motion, .prompted = prompted};
    struct vka_setup_lora *all = vka_grow(s->loras, &s->lora_capacity, s->lora_count + 1, sizeof *all);
    struct vka_lora_tables tables = {.unet = s->unet ? vka_model_weights(s->model, VKA_PART_UNET, NULL) : NULL,
                                     .motion = s->motion ? vka_motion_weights(s->motion) : NULL,
                                     .text = s->text ? vka_model_weights(s->model, VKA_PART_TEXT, NULL) : NULL};
    s->loras = all ? all : s->loras;
    if (!s->mix)
        s->mix = vka_lora_mix_create();
    vka_status st = all && s->mix && name ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = (l.path = find(s, &l, err)) ? VKA_OK : err && err->status != VKA_OK ? err->status : VKA_E_INPUT;
    if (st == VKA_OK)
        st = vka_lora_open(&l.file, l.path, err);
    if (st == VKA_OK)
        st = check_kind(s, &l, err);
    if (st == VKA_OK && s->unet)
        l.frames = frames_of(s, &l);
    if (st == VKA_OK)
        st = l.frames ? add_travelling(s, &l, &tables, err)
                      : vka_lora_mix_add(s->mix, l.file, &tables, weight, text_weight, &l.fit, err);
    if (st != VKA_OK) {
        vka_lora_close(l.file);
        free(l.name);
        free(l.path);
        return st;
    }
    s->loras[s->lora_count++] = l;
    warn(s, &l);
    if (s->hashes) { /* one file more */
        vka_setup_hash_end(s);
        vka_setup_hash_begin(s);
    }
    return VKA_OK;
}

vka_status vka_setup_lora_add(struct vka_setup *s, const char *name, double weight, double text_weight, vka_error *err)
{
    return add(s, vka_strdup(name), weight, text_weight, false, true, err);
}

vka_status vka_setup_loras(struct vka_setup *s, vka_error *err)
{
    const vka_text_list *lists[] = {&s->job->lora, &s->job->motion_lora};
    vka_status st = VKA_OK;
    if (!s->unet && !s->text) /* a VAE alone */
        return VKA_OK;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; st == VKA_OK && i < lists[k]->count; i++) {
            char *path;
            double weight, text_weight;
            st = vka_lora_spec_parse(lists[k]->items[i], &path, &weight, &text_weight, err);
            if (st == VKA_OK)
                st = add(s, path, weight, text_weight, k == 1, false, err);
        }
    return st;
}

void vka_setup_loras_close(struct vka_setup *s)
{
    vka_lora_mix_destroy(s->mix);
    vka_lora_travel_destroy(s->travel);
    for (size_t i = 0; i < s->lora_count; i++) {
        vka_lora_close(s->loras[i].file);
        free(s->loras[i].name);
        free(s->loras[i].path);
    }
    free(s->loras);
    s->mix = NULL;
    s->travel = NULL;
    s->loras = NULL;
    s->lora_count = s->lora_capacity = 0;
}

json_t *vka_setup_loras_json(const struct vka_setup *s, bool motion, bool paths)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; i < s->lora_count; i++) {
        const struct vka_setup_lora *l = &s->loras[i];
        char one[40], two[40];
        if (l->motion != motion || l->prompted)
            continue;
        vka_format_real(one, sizeof one, l->weight, 'g', 15);
        vka_format_real(two, sizeof two, l->text_weight, 'g', 15);
        char *full = paths ? vka_path_absolute(l->path) : vka_strdup(vka_path_base(l->path));
        bool same =
            l->weight == l->text_weight && full && !strchr(full, ':'); /* a colon's number must not be taken for one */
        char *text = !full ? NULL : same ? vka_asprintf("%s:%s", full, one) : vka_asprintf("%s:%s:%s", full, one, two);
        vka_report_add(&whole, list, text ? vka_report_path(text) : NULL);
        free(full);
        free(text);
    }
    if (whole)
        return list;
    json_decref(list);
    return NULL;
}
