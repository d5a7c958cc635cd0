/* setup_control.c - the controls of a job: what --control says, their files, whether they fit.  See setup_control.h. */
#include "render/setup_control.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/number.h"
#include "render/report.h"
#include "render/setup_parts.h"
#include "sample/values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PICTURES = 65535 };

/* ---- the text -------------------------------------------------------------------------------------------------------- */

enum key { SOURCE, WEIGHT, START, END, MODE, PROCESS, FRAMES, ENCODE, KEYS };
static const char *const keys[KEYS] = {"source", "weight", "start", "end", "mode", "process", "frames", "encode"};
static const char *const modes[] = {"balanced", "prompt", "control"};
static const char *const processes[VKA_PROCESSES] = {"none", "canny", "lineart", "soft-edge", "tile", "invert"};
static const char *const encodings[] = {"mean", "sample"};
static const char previous[] = "previous";

/* The key that stands at `s` with its '=', or -1; *value is behind it. */
static int key_at(const char *s, const char **value)
{
    for (int k = 0; k < KEYS; k++) {
        size_t n = strlen(keys[k]);
        if (strncmp(s, keys[k], n) == 0 && s[n] == '=') {
            *value = s + n + 1;
            return k;
        }
    }
    return -1;
}

/* The end of what begins at `s`: a comma with a key behind it, or the text's end. */
static const char *part_end(const char *s)
{
    const char *value;
    while (*s && !(*s == ',' && key_at(s + 1, &value) >= 0))
        s++;
    return s;
}

static bool one_of(const char *text, size_t n, const char *const *names, size_t count, int *out)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == n && strncmp(text, names[i], n) == 0) {
            *out = (int)i;
            return true;
        }
    return false;
}

static bool share(const char *text, size_t n, double *out)
{
    char copy[64], *end;
    if (!n || n >= sizeof copy)
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    *out = vka_parse_real(copy, &end);
    return !*end && end != copy && *out >= 0 && *out <= 1;
}

static vka_status take(struct vka_control_spec *s, enum key key, const char *value, size_t n, vka_error *err)
{
    static const char *const wanted[KEYS] = {[START] = "a share from 0 to 1", [END] = "a share from 0 to 1",
                                             [MODE] = "balanced, prompt or control",
                                             [PROCESS] = "none, canny, lineart, soft-edge, tile or invert",
                                             [ENCODE] = "mean or sample"};
    char **text = key == SOURCE ? &s->source : key == WEIGHT ? &s->weight : key == FRAMES ? &s->frames : NULL;
    int which = 0;
    bool good = true;
    if (text) {
        if (!n)
            return vka_fail(err, VKA_E_USAGE, "--control: nothing behind '%s='", keys[key]);
        if (key == SOURCE && n == strlen(previous) && !strncmp(value, previous, n)) {
            s->previous = true;
            return VKA_OK;
        }
        *text = vka_asprintf("%.*s", (int)n, value);
        return *text ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    switch (key) {
    case START:
        good = share(value, n, &s->start);
        break;
    case END:
        good = share(value, n, &s->end);
        break;
    case MODE:
        if ((good = one_of(value, n, modes, sizeof modes / sizeof *modes, &which)))
            s->mode = (enum vka_control_mode)which;
        break;
    case PROCESS:
        if ((good = one_of(value, n, processes, VKA_PROCESSES, &which)))
            s->process = (enum vka_control_process)which;
        break;
    case ENCODE:
        if ((good = one_of(value, n, encodings, sizeof encodings / sizeof *encodings, &which)))
            s->sample = which == 1;
        break;
    default:
        break;
    }
    return good ? VKA_OK
                : vka_fail(err, VKA_E_USAGE, "--control: %s=%.*s is not %s", keys[key], (int)(n < 40 ? n : 40), value, wanted[key]);
}

vka_status vka_control_spec_parse(struct vka_control_spec *s, const char *text, vka_error *err)
{
    const char *end = part_end(text), *value = text;
    unsigned seen = 0;
    *s = (struct vka_control_spec){.end = 1};
    if (end == text)
        return vka_fail(err, VKA_E_USAGE, "--control needs the path or name of a ControlNet");
    if (strlen(text) > 65535)
        return vka_fail(err, VKA_E_USAGE, "--control: a text of more than 65535 bytes");
    s->path = vka_asprintf("%.*s", (int)(end - text), text);
    if (!s->path)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    while (*end) {
        int key = key_at(end + 1, &value);
        end = part_end(value);
        if (seen >> key & 1)
            return vka_fail(err, VKA_E_USAGE, "--control: '%s' is there twice", keys[key]);
        seen |= 1u << key;
        vka_status st = take(s, (enum key)key, value, (size_t)(end - value), err);
        if (st != VKA_OK)
            return st;
    }
    if (s->weight)
        return vka_values_parse("--control: weight", s->weight, -10, 10, 0, NULL, err);
    return VKA_OK;
}

void vka_control_spec_free(struct vka_control_spec *s)
{
    free(s->path);
    free(s->source);
    free(s->weight);
    free(s->frames);
    *s = (struct vka_control_spec){0};
}

float vka_control_layer(enum vka_control_mode mode, uint32_t i, uint32_t outputs)
{
    return mode == VKA_CONTROL_BALANCED ? 1 : (float)pow(0.825, (double)(outputs - 1 - i));
}

/* A whole number in frames=, from the end where it is negative. */
static bool frame_at(const char **s, int64_t *out)
{
    bool minus = **s == '-';
    int64_t v = 0;
    const char *p = *s + minus, *first = p;
    for (; *p >= '0' && *p <= '9' && v < MOST_PICTURES; p++)
        v = 10 * v + (*p - '0');
    *out = minus ? -v : v;
    *s = p;
    return p != first;
}

vka_status vka_control_frames(const char *list, uint32_t frames, uint32_t pictures, uint32_t *out, uint32_t *count, vka_error *err)
{
    *count = 0;
    if (!list) {
        *count = vka_min_u32(pictures, frames);
        for (uint32_t i = 0; i < *count; i++)
            out[i] = *count > 1 ? (uint32_t)(((uint64_t)i * (frames - 1) * 2 + (*count - 1)) / (2 * (*count - 1))) : 0;
        return VKA_OK;
    }
    for (const char *s = list;; s++) {
        int64_t v;
        if (!frame_at(&s, &v) || (*s && *s != ';'))
            return vka_fail(err, VKA_E_USAGE, "--control: frames=%.60s is no list of frames such as 0;8;-1", list);
        if (v >= (int64_t)frames || v < -(int64_t)frames)
            return vka_fail(err, VKA_E_USAGE, "--control: frame %lld is beyond the %u frames of the clip", (long long)v, frames);
        uint32_t f = v < 0 ? (uint32_t)((int64_t)frames + v) : (uint32_t)v;
        if (*count == pictures)
            return vka_fail(err, VKA_E_INPUT, "--control: frames=%.60s names more frames than there are pictures, which are %u", list,
                            pictures);
        for (uint32_t i = 0; i < *count; i++)
            if (out[i] == f)
                return vka_fail(err, VKA_E_USAGE, "--control: frame %u is named twice", f);
        out[(*count)++] = f;
        if (!*s)
            return VKA_OK;
    }
}

/* ---- the files -------------------------------------------------------------------------------------------------------- */

/* What cannot be, told before anything is opened further. */
static vka_status check(const struct vka_setup *s, const struct vka_setup_control *c, vka_error *err)
{
    const vka_control_info *info = vka_control_describe(c->file);
    bool sparse = info->kind != VKA_CONTROL_NET;
    if (s->vae && info->kind != VKA_CONTROL_SPARSE_RGB && info->hint_factor != s->factor)
        return vka_fail(err, VKA_E_INPUT, "'%.200s' takes pictures of %u pixels for each latent one, the VAE %u", c->path,
                        (unsigned)info->hint_factor, s->factor);
    if (c->spec.start > c->spec.end)
        return vka_fail(err, VKA_E_USAGE, "--control: start=%g is behind end=%g", c->spec.start, c->spec.end);
    if (c->spec.frames && !sparse)
        return vka_fail(err, VKA_E_USAGE, "--control: 'frames' is for SparseCtrl, and '%.200s' is a ControlNet", c->path);
    if (c->spec.previous && sparse)
        return vka_fail(err, VKA_E_USAGE, "--control: source=previous is for ControlNets, and '%.200s' is a SparseCtrl encoder", c->path);
    if (c->spec.previous && c->spec.process != VKA_PROCESS_NONE)
        return vka_fail(err, VKA_E_USAGE, "--control: 'process' is for pictures that are known before, which those of source=previous are not");
    if (c->spec.sample && info->kind != VKA_CONTROL_SPARSE_RGB)
        return vka_fail(err, VKA_E_USAGE, "--control: 'encode' is for SparseCtrl of pictures (rgb), which '%.200s' is not", c->path);
    return VKA_OK;
}

bool vka_setup_sees_previous(const struct vka_job *j)
{
    bool sees = false;
    for (size_t i = 0; i < j->control.count && !sees; i++) {
        struct vka_control_spec spec;
        sees = vka_control_spec_parse(&spec, j->control.items[i], NULL) == VKA_OK && spec.previous;
        vka_control_spec_free(&spec);
    }
    return sees;
}

/* What a clip cannot have whose frames are sampled one after the other. */
static vka_status check_by_frame(const struct vka_job *j, vka_error *err)
{
    const struct {
        const char *name;
        bool there;
    } others[] = {{"freeinit", j->freeinit > 0},
                  {"hires", j->hires != NULL},
                  {"freenoise", j->freenoise},
                  {"loop", j->loop && strcmp(j->loop, "off") != 0},
                  {"context-length", vka_job_has(j, "context-length")},
                  {"context-overlap", vka_job_has(j, "context-overlap")},
                  {"context-stride", vka_job_has(j, "context-stride")},
                  {"context-schedule", vka_job_has(j, "context-schedule")},
                  {"context-merge", vka_job_has(j, "context-merge")},
                  {"trace", j->trace != NULL},
                  {"save-hints", j->save_hints != NULL}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].there) {
            vka_fail(err, VKA_E_USAGE, "--%s does not go with a control of source=previous", others[i].name);
            vka_error_why(err, "its frames are made one after the other, each from the one before");
            vka_error_hint(err, "one of the two");
            return VKA_E_USAGE;
        }
    return VKA_OK;
}

vka_status vka_setup_controls(struct vka_setup *s, vka_error *err)
{
    const vka_text_list *list = &s->job->control;
    vka_status st = s->by_frame ? check_by_frame(s->job, err) : VKA_OK;
    if (list->count > VKA_CONTROLS)
        return vka_fail(err, VKA_E_USAGE, "%zu times --control is more than %d", list->count, VKA_CONTROLS);
    for (size_t i = 0; st == VKA_OK && i < list->count; i++) {
        struct vka_setup_control *c = &s->controls[s->control_count++];
        st = vka_control_spec_parse(&c->spec, list->items[i], err);
        if (st == VKA_OK && !(c->path = vka_find_model(VKA_LIBRARY_CONTROLNET, c->spec.path, err)))
            st = err && err->status != VKA_OK ? err->status : VKA_E_INPUT;
        if (st == VKA_OK)
            st = vka_control_open(&c->file, c->path, err);
        if (st == VKA_OK)
            st = vka_control_fit(c->file, s->unet, err);
        if (st == VKA_OK)
            st = check(s, c, err);
    }
    return st;
}

void vka_setup_controls_close(struct vka_setup *s)
{
    for (uint32_t i = 0; i < s->control_count; i++) {
        vka_control_spec_free(&s->controls[i].spec);
        vka_control_close(s->controls[i].file);
        free(s->controls[i].path);
    }
    s->control_count = 0;
}

vka_status vka_setup_control_weights(const struct vka_setup *s, uint32_t control, uint32_t frames, float *out, vka_error *err)
{
    const char *text = s->controls[control].spec.weight;
    double *values = vka_calloc(frames, sizeof *values);
    vka_status st = values ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_values_parse_loop("--control: weight", text ? text : "1", -10, 10, frames, vka_setup_closed(s), values, err);
    for (uint32_t f = 0; st == VKA_OK && f < frames; f++)
        out[f] = (float)values[f];
    free(values);
    return st;
}

/* The text of a control, with the path and source given. */
static char *spec_text(const struct vka_setup_control *c, const char *path, const char *source)
{
    const struct vka_control_spec *p = &c->spec;
    char start[32] = "", end[32] = "";
    if (p->start > 0)
        snprintf(start, sizeof start, ",start=%.6g", p->start);
    if (p->end < 1)
        snprintf(end, sizeof end, ",end=%.6g", p->end);
    for (char *s = start; *s; s++) /* some locales write a comma */
        *s = s > start && *s == ',' ? '.' : *s;
    for (char *s = end; *s; s++)
        *s = s > end && *s == ',' ? '.' : *s;
    return vka_asprintf("%s%s%s%s%s%s%s%s%s%s%s%s%s%s", path, source ? ",source=" : "", source ? source : "",
                        p->weight ? ",weight=" : "", p->weight ? p->weight : "", start, end,
                        p->mode != VKA_CONTROL_BALANCED ? ",mode=" : "", p->mode != VKA_CONTROL_BALANCED ? modes[p->mode] : "",
                        p->process != VKA_PROCESS_NONE ? ",process=" : "",
                        p->process != VKA_PROCESS_NONE ? processes[p->process] : "", p->frames ? ",frames=" : "",
                        p->frames ? p->frames : "", p->sample ? ",encode=sample" : "");
}

json_t *vka_setup_controls_json(const struct vka_setup *s, bool paths)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (uint32_t i = 0; whole && i < s->control_count; i++) {
        const struct vka_setup_control *c = &s->controls[i];
        char *path = paths ? vka_path_absolute(c->path) : NULL, *source = NULL;
        if (c->spec.previous)
            source = vka_strdup(previous);
        else if (paths && c->spec.source)
            source = vka_path_absolute(c->spec.source);
        const char *base = vka_path_base(c->path);
        char *text = !paths || path ? spec_text(c, paths ? path : base, source) : NULL;
        vka_report_add(&whole, list, text ? json_string(text) : NULL);
        free(text);
        free(source);
        free(path);
    }
    if (!whole) {
        json_decref(list);
        return NULL;
    }
    return list;
}
