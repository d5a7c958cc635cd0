/* a1111_names.c - names of A1111's that are ours too: samplers, schedules, what enlarges the clip of a second pass.
 *
 * Which sampler is which, where "Automatic" puts the steps and how noise is drawn there is known to the library alone, which
 * reads it in infotext: so a request's names are put into such a line and read back (vka_job_read_infotext). */
#include "server/a1111.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void srv_a1111_short_name(const char *label, char out[40])
{
    size_t n = 0;
    for (; *label && n < 39; label++)
        out[n++] = *label == ' ' ? '_' : *label >= 'A' && *label <= 'Z' ? (char)(*label - 'A' + 'a') : *label;
    out[n] = '\0';
}

/* The next of the option's choices into `value`; false behind the last one. */
static bool next_choice(const char **p, char value[40])
{
    while (**p == ' ')
        (*p)++;
    size_t n = strcspn(*p, " |");
    if (!n || n >= 40)
        return false;
    memcpy(value, *p, n);
    value[n] = '\0';
    *p += n;
    return true;
}

static const char *choices_of(const char *option)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].name, option) == 0 && options[i].choices)
            return options[i].choices;
    return "";
}

void srv_a1111_each_value(const char *option, void (*call)(void *user, const char *value, const char *label), void *user)
{
    char value[40];
    for (const char *p = choices_of(option); next_choice(&p, value);) {
        const char *label = vka_option_webui_name(option, value);
        if (label)
            call(user, value, label);
    }
}

bool srv_a1111_value_of(const char *option, const char *name, char value[40])
{
    char small[40];
    for (const char *p = choices_of(option); next_choice(&p, value);) {
        const char *label = vka_option_webui_name(option, value);
        srv_a1111_short_name(label ? label : "", small);
        if (srv_a1111_same(name, value) || (label && (srv_a1111_same(name, label) || srv_a1111_same(name, small))))
            return true;
    }
    return false;
}

/* A schedule at the end of a sampler's name, as before version 1.9: "DPM++ 2M Karras". */
static bool split(const char *name, char sampler[64], char schedule[40])
{
    size_t n = strlen(name);
    for (size_t i = n; i > 1; i--)
        if (name[i - 1] == ' ' && i - 1 < 64 && i < n && srv_a1111_value_of("schedule", name + i, schedule)) {
            memcpy(sampler, name, i - 1);
            sampler[i - 1] = '\0';
            return true;
        }
    return false;
}

static bool names_of(struct srv_a1111_making *m, const char *sampler, const char *scheduler, char ours[40], char schedule[40])
{
    char base[64];
    if (!srv_a1111_value_of("sampler", sampler, ours)) {
        if (split(sampler, base, schedule) && srv_a1111_value_of("sampler", base, ours))
            return true;
        return srv_a1111_fail(m->err, 404, "sampler_name", "Sampler not found: '%.60s'; GET /sdapi/v1/samplers lists them",
                              sampler);
    }
    if (srv_a1111_value_of("schedule", scheduler, schedule))
        return true;
    return srv_a1111_fail(m->err, 404, "scheduler", "Scheduler not found: '%.60s'; GET /sdapi/v1/schedulers lists them",
                          scheduler);
}

/* What the library makes of such a line, as an object; NULL with the error set. */
static json_t *read_line(const char *line, struct srv_a1111_error *err)
{
    vka_error e = {0};
    vka_job *job = vka_job_create();
    vka_status st = job ? vka_job_read_infotext(job, line, &e) : VKA_E_MEMORY;
    char *text = st == VKA_OK ? vka_job_write(job) : NULL;
    json_t *object = text ? json_loads(text, 0, NULL) : NULL;
    vka_free(text);
    vka_job_destroy(&job);
    if (!object)
        srv_a1111_fail(err, 500, "", "%s", e.what[0] ? e.what : "out of memory");
    return object;
}

bool srv_a1111_sampling(struct srv_a1111_making *m, const char *sampler, const char *scheduler, const char *source,
                        json_int_t steps)
{
    static const char *const taken[] = {"sampler", "schedule", "rng", "noise-layout"};
    static const char *const windows[] = {"context-length", "context-stride", "context-overlap", "loop"};
    char ours[40], schedule[40], units[200] = "", line[500];
    if (!names_of(m, sampler, scheduler, ours, schedule))
        return false;
    if (m->closed_loop) {
        int n = snprintf(units, sizeof units,
                         ", AnimateDiff: \"enable: True, video_length: %lld, batch_size: %lld, stride: %lld, closed_loop: %.8s",
                         (long long)m->frames, (long long)m->batch_size, (long long)m->stride, m->closed_loop);
        if (m->overlap >= 0)
            snprintf(units + n, sizeof units - (size_t)n, ", overlap: %lld\"", (long long)m->overlap);
        else
            snprintf(units + n, sizeof units - (size_t)n, "\"");
    }
    snprintf(line, sizeof line, "Steps: %lld, Sampler: %s, Schedule type: %s, RNG: %.8s%s", (long long)steps,
             vka_option_webui_name("sampler", ours), vka_option_webui_name("schedule", schedule), source, units);
    json_t *read = read_line(line, m->err);
    for (size_t i = 0; read && i < sizeof taken / sizeof *taken; i++)
        if (json_object_get(read, taken[i]))
            srv_a1111_put(m, taken[i], json_incref(json_object_get(read, taken[i])));
    for (size_t i = 0; read && m->closed_loop && i < sizeof windows / sizeof *windows; i++)
        if (json_object_get(read, windows[i]))
            srv_a1111_put(m, windows[i], json_incref(json_object_get(read, windows[i])));
    json_decref(read);
    return !m->err->status;
}

/* ---- what enlarges ----------------------------------------------------------------------------------------------- */

/* Antialiasing changes nothing where a picture grows, but for the bicubic one, which takes another curve with it. */
static const struct {
    const char *theirs, *ours;
    bool latent;
} upscalers[] = {
    {"Latent", "latent", true},
    {"Latent (antialiased)", "latent", true},
    {"Latent (bicubic)", "latent-bicubic", true},
    {"Latent (nearest)", "latent-nearest", true},
    {"Latent (nearest-exact)", "latent-nearest", true},
    {"Lanczos", "picture", false},
};

const char *srv_a1111_upscaler(const char *name)
{
    for (size_t i = 0; i < sizeof upscalers / sizeof *upscalers; i++)
        if (srv_a1111_same(upscalers[i].theirs, name))
            return upscalers[i].ours;
    return NULL;
}

const char *srv_a1111_upscaler_name(size_t index, bool latent)
{
    for (size_t i = 0; i < sizeof upscalers / sizeof *upscalers; i++)
        if (upscalers[i].latent == latent && index-- == 0)
            return upscalers[i].theirs;
    return NULL;
}
