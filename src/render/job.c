/* job.c - a job's values: defaults, set from text, read from and written as JSON.
 *
 * Which field an option fills is in `fields`; everything else about it is in the option table.  Every value passes the
 * table's checks before it is stored, whatever way it came. */
#include "render/job.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"
#include "media/media.h"
#include "render/infotext.h"
#include "render/options.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name, member)                                                                                            \
    {                                                                                                                  \
        name, offsetof(struct vka_job, member)                                                                         \
    }
static const struct field {
    const char *name;
    size_t offset;
} fields[] = {
    FIELD("prompt", prompt),
    FIELD("negative", negative),
    FIELD("prompt-syntax", prompt_syntax),
    FIELD("pad-prompt", pad_prompt),
    FIELD("comma-padding", comma_padding),
    FIELD("wildcards", wildcards),
    FIELD("model", model),
    FIELD("motion", motion),
    FIELD("motion-family", motion_family),
    FIELD("motion-scale", motion_scale),
    FIELD("motion-effect", motion_effect),
    FIELD("vae", vae),
    FIELD("lora", lora),
    FIELD("motion-lora", motion_lora),
    FIELD("embedding", embedding),
    FIELD("tokenizer", tokenizer),
    FIELD("width", width),
    FIELD("height", height),
    FIELD("frames", frames),
    FIELD("fps", fps),
    FIELD("seed", seed),
    FIELD("count", count),
    FIELD("context-length", context_length),
    FIELD("context-stride", context_stride),
    FIELD("context-overlap", context_overlap),
    FIELD("context-schedule", context_schedule),
    FIELD("travel", travel),
    FIELD("travel-blend", travel_blend),
    FIELD("travel-ease", travel_ease),
    FIELD("lora-frames", lora_frames),
    FIELD("context-merge", context_merge),
    FIELD("loop", loop),
    FIELD("noise-kind", noise_kind),
    FIELD("freenoise", freenoise),
    FIELD("freeinit", freeinit),
    FIELD("freeinit-filter", freeinit_filter),
    FIELD("freeinit-cutoff", freeinit_cutoff),
    FIELD("freeinit-order", freeinit_order),
    FIELD("freeinit-fast", freeinit_fast),
    FIELD("hires", hires),
    FIELD("hires-upscaler", hires_upscaler),
    FIELD("hires-steps", hires_steps),
    FIELD("init", init),
    FIELD("init-last", init_last),
    FIELD("keyframe", keyframe),
    FIELD("init-video", init_video),
    FIELD("video-fps", video_fps),
    FIELD("video-start", video_start),
    FIELD("video-stride", video_stride),
    FIELD("resize", resize),
    FIELD("strength", strength),
    FIELD("latent-power", latent_power),
    FIELD("latent-scale", latent_scale),
    FIELD("latent-power-last", latent_power_last),
    FIELD("latent-scale-last", latent_scale_last),
    FIELD("hold", hold),
    FIELD("mask", mask),
    FIELD("control", control),
    FIELD("save-hints", save_hints),
    FIELD("ip-adapter", ip_adapter),
    FIELD("vision", vision),
    FIELD("cfg-frames", cfg_frames),
    FIELD("interpolate", interpolate),
    FIELD("steps", steps),
    FIELD("cfg", cfg),
    FIELD("cfg-schedule", cfg_schedule),
    FIELD("cfg-rescale", cfg_rescale),
    FIELD("pag", pag),
    FIELD("eta", eta),
    FIELD("original-steps", original_steps),
    FIELD("subseed", subseed),
    FIELD("subseed-strength", subseed_strength),
    FIELD("sampler", sampler),
    FIELD("schedule", schedule),
    FIELD("beta", beta),
    FIELD("rng", rng),
    FIELD("noise-layout", noise_layout),
    FIELD("norm", norm),
    FIELD("precision", precision),
    FIELD("clip-skip", clip_skip),
    FIELD("output", output),
    FIELD("plays", plays),
    FIELD("ping-pong", ping_pong),
    FIELD("quality", quality),
    FIELD("lossless", lossless),
    FIELD("colors", colors),
    FIELD("dither", dither),
    FIELD("overwrite", overwrite),
    FIELD("no-overwrite", no_overwrite),
    FIELD("verify", verify),
    FIELD("device", device),
    FIELD("path", path),
    FIELD("vram", vram),
    FIELD("device-memory", device_memory),
    FIELD("noise", noise),
    FIELD("step-noise", step_noise),
    FIELD("embeds", embeds),
    FIELD("trace", trace),
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* The address of an option's field, or NULL for options that a job does not hold. */
static void *field_of(const vka_job *job, const vka_option *o)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].name, o->name) == 0)
            return (char *)(uintptr_t)job + fields[i].offset;
    return NULL;
}

static bool is_in(const struct vka_option_set *set, const vka_option *o)
{
    size_t i = (size_t)(o - vka_options(NULL));
    return set->bits[i / 64] >> i % 64 & 1;
}

static void put(struct vka_option_set *set, const vka_option *o, bool in)
{
    size_t i = (size_t)(o - vka_options(NULL));
    uint64_t bit = UINT64_C(1) << i % 64;
    set->bits[i / 64] = in ? set->bits[i / 64] | bit : set->bits[i / 64] & ~bit;
}

/* ---- lists and texts --------------------------------------------------------------------------------- */

static void list_clear(vka_text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (vka_text_list){0};
}

static bool list_add(vka_text_list *list, const char *value)
{
    char *copy = vka_strdup(value);
    char **items = copy ? vka_grow(list->items, &list->capacity, list->count + 1, sizeof *items) : NULL;
    if (!items) {
        free(copy);
        return false;
    }
    list->items = items;
    items[list->count++] = copy;
    return true;
}

bool vka_job_text(char **field, const char *value)
{
    char *copy = vka_strdup(value);
    if (!copy)
        return false;
    free(*field);
    *field = copy;
    return true;
}

static void notes_clear(vka_job *job)
{
    for (size_t i = 0; i < job->note_count; i++)
        free(job->notes[i].text);
    free(job->notes);
    job->notes = NULL;
    job->note_count = job->note_capacity = 0;
}

bool vka_job_note(struct vka_job *job, const char *unless, char *text)
{
    struct vka_job_note *notes =
        text ? vka_grow(job->notes, &job->note_capacity, job->note_count + 1, sizeof *notes) : NULL;
    if (!notes) {
        free(text);
        return false;
    }
    job->notes = notes;
    notes[job->note_count++] = (struct vka_job_note){text, unless};
    return true;
}

/* ---- storing a checked value --------------------------------------------------------------------------- */

static vka_status out_of_memory(vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory");
}

static vka_status store_flag(vka_job *job, const vka_option *o, bool value)
{
    *(bool *)field_of(job, o) = value;
    /* --overwrite and --no-overwrite: the last word counts */
    if (value && strcmp(o->name, "overwrite") == 0)
        job->no_overwrite = false;
    if (value && strcmp(o->name, "no-overwrite") == 0)
        job->overwrite = false;
    put(&job->set, o, true);
    return VKA_OK;
}

static vka_status store_int(vka_job *job, const vka_option *o, int64_t value, vka_error *err)
{
    vka_status status = vka_option_check_int(o, value, err);
    if (status == VKA_OK) {
        *(int64_t *)field_of(job, o) = value;
        put(&job->set, o, true);
    }
    return status;
}

static vka_status store_real(vka_job *job, const vka_option *o, double value, vka_error *err)
{
    vka_status status = vka_option_check_real(o, value, err);
    if (status == VKA_OK) {
        *(double *)field_of(job, o) = value;
        put(&job->set, o, true);
    }
    return status;
}

static vka_status store_text(vka_job *job, const vka_option *o, const char *value, vka_error *err)
{
    vka_status status = vka_option_check_text(o, value, err);
    if (status != VKA_OK)
        return status;
    if (o->kind == VKA_OPTION_LIST) {
        vka_text_list *list = field_of(job, o);
        vka_text_list old = {0};
        if (is_in(&job->read, o)) {
            old = *list;
            *list = (vka_text_list){0};
        }
        if (!list_add(list, value)) {
            if (is_in(&job->read, o))
                *list = old;
            return out_of_memory(err);
        }
        list_clear(&old);
        put(&job->read, o, false);
    } else if (!vka_job_text(field_of(job, o), value))
        return out_of_memory(err);
    if (strcmp(o->name, "verify") == 0) /* compared with lower-case digits */
        for (char *p = job->verify; *p; p++)
            *p = (char)(*p >= 'A' && *p <= 'F' ? *p + ('a' - 'A') : *p);
    put(&job->set, o, true);
    return VKA_OK;
}

static vka_status bad_value(const vka_option *o, const char *value, vka_error *err)
{
    static const struct {
        vka_option_kind kind;
        const char *wants;
    } forms[] = {
        {VKA_OPTION_INT, "a whole number"},
        {VKA_OPTION_REAL, "a number, with a point for the decimals"},
        {VKA_OPTION_SIZE, "a size such as 512M or 6G"},
        {VKA_OPTION_FLAG, "true or false"},
        {VKA_OPTION_LIST, "an array of texts"},
    };
    const char *wants = "a text";
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].kind == o->kind)
            wants = forms[i].wants;
    return vka_fail(err, VKA_E_USAGE, "--%s wants %s, not '%.100s'", o->name, wants, value);
}

/* One value as text, `o` being a job's option. */
static vka_status store(vka_job *job, const vka_option *o, const char *value, vka_error *err)
{
    int64_t whole;
    double real;
    uint64_t size;
    bool flag = true;
    if (!value && o->kind != VKA_OPTION_FLAG)
        return vka_fail(err, VKA_E_USAGE, "--%s wants a value", o->name);
    if (value && !vka_is_utf8(value))
        return vka_fail(err, VKA_E_USAGE, "the value of --%s is not UTF-8", o->name);
    switch (o->kind) {
    case VKA_OPTION_FLAG:
        return !value || vka_parse_flag(value, &flag) ? store_flag(job, o, flag) : bad_value(o, value, err);
    case VKA_OPTION_INT:
        return vka_parse_int(value, &whole) ? store_int(job, o, whole, err) : bad_value(o, value, err);
    case VKA_OPTION_REAL:
        return vka_parse_whole_real(value, &real) ? store_real(job, o, real, err) : bad_value(o, value, err);
    case VKA_OPTION_SIZE:
        if (!vka_parse_size(value, &size))
            return bad_value(o, value, err);
        *(uint64_t *)field_of(job, o) = size;
        put(&job->set, o, true);
        return VKA_OK;
    case VKA_OPTION_TEXT:
    case VKA_OPTION_PATH:
    case VKA_OPTION_LIST:
    case VKA_OPTION_CHOICE:
        break;
    }
    return store_text(job, o, value, err);
}

/* ---- the public calls ---------------------------------------------------------------------------------- */

vka_job *vka_job_create(void)
{
    vka_job *job = vka_calloc(1, sizeof *job);
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; job && i < count; i++)
        if (options[i].initial && field_of(job, &options[i]) &&
            store(job, &options[i], options[i].initial, NULL) != VKA_OK)
            vka_job_destroy(&job);
    if (job)
        job->set = (struct vka_option_set){0};
    return job;
}

void vka_job_destroy(vka_job **job)
{
    if (!job || !*job)
        return;
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++) {
        void *field = field_of(*job, &options[i]);
        if (!field)
            continue;
        if (options[i].kind == VKA_OPTION_LIST)
            list_clear(field);
        else if (options[i].kind == VKA_OPTION_TEXT || options[i].kind == VKA_OPTION_PATH ||
                 options[i].kind == VKA_OPTION_CHOICE)
            free(*(char **)field);
    }
    notes_clear(*job);
    free(*job);
    *job = NULL;
}

vka_job *vka_job_copy(const vka_job *job)
{
    vka_job *copy = vka_calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *job;
    size_t count;
    const vka_option *options = vka_options(&count);
    bool good = true;
    copy->notes = NULL;
    copy->note_count = copy->note_capacity = 0;
    for (size_t i = 0; good && i < job->note_count; i++)
        good = vka_job_note(copy, job->notes[i].unless, vka_strdup(job->notes[i].text));
    for (size_t i = 0; i < count; i++) { /* first no pointer is shared, then each is copied */
        void *to = field_of(copy, &options[i]);
        const void *from = field_of(job, &options[i]);
        if (!to)
            continue;
        if (options[i].kind == VKA_OPTION_LIST) {
            vka_text_list *list = to;
            const vka_text_list *source = from;
            *list = (vka_text_list){0};
            for (size_t j = 0; good && j < source->count; j++)
                good = list_add(list, source->items[j]);
        } else if (options[i].kind == VKA_OPTION_TEXT || options[i].kind == VKA_OPTION_PATH ||
                   options[i].kind == VKA_OPTION_CHOICE) {
            char *const *source = from;
            *(char **)to = NULL;
            if (good && *source)
                good = vka_job_text(to, *source);
        }
    }
    if (!good)
        vka_job_destroy(&copy);
    return copy;
}

bool vka_job_has(const vka_job *job, const char *name)
{
    const vka_option *o = vka_option_find(name);
    return o && is_in(&job->set, o);
}

void vka_job_mark(struct vka_job *job, const char *name)
{
    const vka_option *o = vka_option_find(name);
    if (o)
        put(&job->set, o, true);
}

void vka_job_unmark(struct vka_job *job, const char *name)
{
    const vka_option *o = vka_option_find(name);
    if (o)
        put(&job->set, o, false);
}

static bool make_absolute(char **path)
{
    char *full = vka_path_absolute(*path);
    if (!full)
        return false;
    free(*path);
    *path = full;
    return true;
}

/* Of "8=picture.png" what is behind the first '='. */
static bool make_absolute_behind(char **text, char sign)
{
    char *at = strchr(*text, sign);
    char *full = at ? vka_path_absolute(at + 1) : NULL;
    if (!at || !full)
        return !at;
    char *whole = vka_asprintf("%.*s%s", (int)(at + 1 - *text), *text, full);
    free(full);
    if (!whole)
        return false;
    free(*text);
    *text = whole;
    return true;
}

bool vka_job_absolute(struct vka_job *job)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        char **text = field_of(job, &options[i]);
        if (options[i].kind == VKA_OPTION_PATH && text && *text && **text &&
            !(strcmp(options[i].name, "motion") == 0 && strcmp(*text, "none") == 0))
            good = make_absolute(text);
    }
    for (size_t i = 0; good && i < job->output.count; i++)
        good = make_absolute(&job->output.items[i]);
    for (size_t i = 0; good && i < job->keyframe.count; i++)
        good = make_absolute_behind(&job->keyframe.items[i], '=');
    return good;
}

vka_status vka_job_set(vka_job *job, const char *name, const char *value, vka_error *err)
{
    const vka_option *o;
    if (!job)
        return vka_fail(err, VKA_E_USAGE, "there is no job");
    vka_status status = vka_option_check(name, &o, err);
    return status == VKA_OK ? store(job, o, value, err) : status;
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */

static vka_status read_list(vka_job *job, const vka_option *o, const json_t *value, vka_error *err)
{
    if (json_is_string(value))
        return store(job, o, json_string_value(value), err);
    if (!json_is_array(value))
        return bad_value(o, "that", err);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = json_string_value(json_array_get(value, i));
        vka_status status = text ? store(job, o, text, err) : bad_value(o, "that", err);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

static vka_status read_value(vka_job *job, const vka_option *o, const json_t *value, vka_error *err)
{
    if (o->kind == VKA_OPTION_LIST) {
        list_clear(field_of(job, o)); /* the object's list replaces an earlier one */
        put(&job->set, o, false);
        put(&job->read, o, false);
        vka_status status = read_list(job, o, value, err);
        if (status == VKA_OK)
            put(&job->read, o, true);
        return status;
    }
    if (json_is_string(value))
        return store(job, o, json_string_value(value), err);
    if (json_is_boolean(value) && o->kind == VKA_OPTION_FLAG)
        return store_flag(job, o, json_is_true(value));
    if (json_is_integer(value) && o->kind == VKA_OPTION_INT)
        return store_int(job, o, json_integer_value(value), err);
    if (json_is_number(value) && o->kind == VKA_OPTION_REAL)
        return store_real(job, o, json_number_value(value), err);
    if (json_is_integer(value) && o->kind == VKA_OPTION_SIZE && json_integer_value(value) > 0) {
        *(uint64_t *)field_of(job, o) = (uint64_t)json_integer_value(value);
        put(&job->set, o, true);
        return VKA_OK;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    vka_status status = bad_value(o, text ? text : "that", err);
    free(text);
    return status;
}

/* All keys or none: the job is changed only when every one is good. */
static vka_status read_object(vka_job *job, const json_t *object, vka_error *err)
{
    vka_job *copy = vka_job_copy(job);
    if (!copy)
        return out_of_memory(err);
    vka_status status = VKA_OK;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const vka_option *o = vka_option_find(key);
        if (o && (o->marks & VKA_MARK_COMMAND))
            continue;
        status = vka_option_check(key, &o, err);
        if (status == VKA_OK)
            status = read_value(copy, o, value, err);
        if (status != VKA_OK)
            break;
    }
    if (status == VKA_OK) {
        vka_job old = *job;
        *job = *copy;
        *copy = old;
    }
    vka_job_destroy(&copy);
    return status;
}

static vka_status load_object(json_t **object, const char *json, size_t size, const char *what, vka_error *err)
{
    json_error_t where;
    *object = json_loadb(json, size, JSON_REJECT_DUPLICATES, &where);
    if (json_is_object(*object))
        return VKA_OK;
    vka_fail(err, VKA_E_INPUT, "%s is not a JSON object", what);
    if (!*object)
        vka_error_why(err, "line %d, column %d: %s", where.line, where.column, where.text);
    json_decref(*object);
    *object = NULL;
    return VKA_E_INPUT;
}

vka_status vka_job_read(vka_job *job, const char *json, size_t size, vka_error *err)
{
    json_t *object;
    if (!job || !json)
        return vka_fail(err, VKA_E_USAGE, "there is no job");
    vka_status status = load_object(&object, json, size, "the job", err);
    if (status == VKA_OK)
        status = read_object(job, object, err);
    json_decref(object);
    return status;
}

/* Whether a setting is about another machine: a path or a device.  Model files go by their bare names. */
static bool is_local(const vka_option *o, const json_t *value)
{
    size_t i;
    const json_t *item;
    if (!o || !(o->marks & VKA_MARK_LOCAL) || (o->marks & VKA_MARK_LATER))
        return false;
    if (strcmp(o->name, "lora") != 0 && strcmp(o->name, "motion-lora") != 0)
        return true;
    json_array_foreach((json_t *)(uintptr_t)value, i, item)
        if (!json_is_string(item) || strchr(json_string_value(item), '/'))
            return true;
    return !json_is_array(value);
}

/* The settings of our own metadata. */
static vka_status read_metadata(vka_job *job, const char *text, const char *path, vka_error *err)
{
    json_t *object = NULL;
    vka_status status = load_object(&object, text, strlen(text), "the animation's metadata", err);
    if (status != VKA_OK)
        return status;
    json_t *settings = json_object_get(object, "settings");
    vka_error inner = {0};
    if (!json_is_object(settings)) {
        status = vka_fail(err, VKA_E_INPUT, "'%s' carries no settings of a render", path);
    } else {
        const char *key; /* what is about another machine has no business here, whoever wrote it */
        const json_t *value;
        json_object_foreach(settings, key, value)
        {
            if (is_local(vka_option_find(key), value)) {
                status = vka_fail(err, VKA_E_INPUT, "the settings in '%s' name a path or a device: --%s", path, key);
                break;
            }
        }
        if (status == VKA_OK && read_object(job, settings, &inner) != VKA_OK) {
            status = inner.status == VKA_E_MEMORY ? VKA_E_MEMORY : VKA_E_INPUT;
            vka_fail(err, status, "the settings in '%s' cannot be used", path);
            vka_error_why(err, "%s", inner.what);
        }
    }
    json_decref(object);
    return status;
}

/* What A1111 and its kin have written, all of it or nothing; `path` NULL: it lies in no file. */
static vka_status read_infotext(vka_job *job, const char *text, const char *path, vka_error *err)
{
    struct vka_infotext info;
    vka_error inner = {0};
    vka_status status = vka_infotext_parse(&info, text, &inner);
    if (status != VKA_OK) {
        if (path)
            vka_fail(err, status, "'%s' does not say how it was made", path);
        else
            vka_fail(err, status, "%s", inner.what);
        vka_error_why(err, "%s%s%s", path ? inner.what : "", path ? ": " : "", inner.why);
        return status;
    }
    vka_job *copy = vka_job_copy(job);
    status = copy ? vka_infotext_apply(&info, copy, err) : out_of_memory(err);
    if (status == VKA_OK) {
        vka_job old = *job;
        *job = *copy;
        *copy = old;
    }
    vka_job_destroy(&copy);
    vka_infotext_free(&info);
    return status;
}

vka_status vka_job_read_infotext(vka_job *job, const char *text, vka_error *err)
{
    if (!job || !text)
        return vka_fail(err, VKA_E_USAGE, "there is no job, or no text");
    return read_infotext(job, text, NULL, err);
}

/* Infotext in a file of its own, as A1111 writes it beside pictures. */
static bool text_file(const char *path, char **text)
{
    enum { MOST = 1 << 20 };
    char *data;
    size_t size;
    *text = NULL;
    if (vka_path_is_dir(path) || !vka_path_exists(path) || vka_read_file(path, MOST, &data, &size, NULL) != VKA_OK)
        return false;
    if (strlen(data) == size && vka_is_utf8(data))
        *text = data;
    else
        free(data);
    return *text != NULL;
}

vka_status vka_job_read_animation(vka_job *job, const char *path, vka_error *err)
{
    vka_media_info info;
    vka_error inner = {0};
    if (!job || !path)
        return vka_fail(err, VKA_E_USAGE, "there is no job");
    vka_status status = vka_media_info_read(path, &info, err);
    if (status != VKA_OK)
        return status;
    char *beside = NULL, *text = NULL;
    if (!info.metadata && !info.infotext && info.format != VKA_MEDIA_NONE)
        beside = vka_asprintf("%.*s.txt", (int)(vka_path_extension(path) - path), path);
    if (info.metadata)
        status = read_metadata(job, info.metadata, path, err);
    else if (info.infotext)
        status = read_infotext(job, info.infotext, path, err);
    else if (strcmp(vka_path_extension(path), ".txt") == 0 && text_file(path, &text))
        status = read_infotext(job, text, path, err);
    else if (beside && text_file(beside, &text)) {
        status = read_infotext(job, text, beside, &inner);
        if (status == VKA_OK && !vka_job_note(job, NULL, vka_asprintf("the settings are those of '%s'", beside)))
            status = out_of_memory(err);
        else if (status != VKA_OK)
            vka_fail(err, status, "%s", inner.what);
    } else {
        status = vka_fail(err, VKA_E_INPUT, "'%s' does not say how it was made", path);
        vka_error_why(err, info.format == VKA_MEDIA_NONE ? "it is neither a picture nor an animation that vkanim knows"
                                                         : "it carries no settings");
    }
    free(text);
    free(beside);
    vka_media_info_free(&info);
    return status;
}

static json_t *value_json(const vka_option *o, const void *field)
{
    switch (o->kind) {
    case VKA_OPTION_FLAG:
        return json_boolean(*(const bool *)field);
    case VKA_OPTION_INT:
        return json_integer((json_int_t) * (const int64_t *)field);
    case VKA_OPTION_SIZE:
        return json_integer((json_int_t) * (const uint64_t *)field);
    case VKA_OPTION_REAL:
        return json_real(*(const double *)field);
    case VKA_OPTION_LIST: {
        const vka_text_list *list = field;
        json_t *array = json_array();
        for (size_t i = 0; array && i < list->count; i++)
            if (json_array_append_new(array, json_string(list->items[i])) != 0) {
                json_decref(array);
                array = NULL;
            }
        return array;
    }
    case VKA_OPTION_TEXT:
    case VKA_OPTION_PATH:
    case VKA_OPTION_CHOICE:
        break;
    }
    return json_string(*(char *const *)field);
}

/* Whether there is anything to write: a field that nobody filled has nothing. */
static bool has_value(const vka_option *o, const void *field)
{
    switch (o->kind) {
    case VKA_OPTION_FLAG:
        return *(const bool *)field;
    case VKA_OPTION_INT:
        return o->initial || *(const int64_t *)field != 0;
    case VKA_OPTION_SIZE:
        return *(const uint64_t *)field != 0;
    case VKA_OPTION_REAL:
        return o->initial || *(const double *)field != 0;
    case VKA_OPTION_LIST:
        return ((const vka_text_list *)field)->count != 0;
    case VKA_OPTION_TEXT:
    case VKA_OPTION_PATH:
    case VKA_OPTION_CHOICE:
        break;
    }
    return *(char *const *)field != NULL;
}

json_t *vka_job_json(const vka_job *job, enum vka_job_which which, bool portable)
{
    json_t *object = json_object();
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; object && i < count; i++) {
        const vka_option *o = &options[i];
        const void *field = field_of(job, o);
        if (!field || (o->marks & VKA_MARK_LATER) || (portable && (o->marks & VKA_MARK_LOCAL)) ||
            !(which == VKA_JOB_GIVEN ? is_in(&job->set, o) : has_value(o, field)))
            continue;
        if (json_object_set_new(object, o->name, value_json(o, field)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

char *vka_job_write(const vka_job *job)
{
    json_t *object = job ? vka_job_json(job, VKA_JOB_GIVEN, false) : NULL;
    char *text = NULL;
    /* Digits of reals: as few as read back to the same number, so that 7.3 stays 7.3. */
    for (unsigned digits = 15; object && digits <= 17; digits++) {
        free(text);
        text = json_dumps(object, JSON_REAL_PRECISION(digits));
        json_t *again = text ? json_loads(text, 0, NULL) : NULL;
        bool same = again && json_equal(object, again);
        json_decref(again);
        if (same)
            break;
    }
    json_decref(object);
    return text;
}
