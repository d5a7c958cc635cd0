/* a1111_options.c - the settings of /sdapi/v1/options and of override_settings: those that mean something here.
 *
 * A1111 passes over names that it does not know, and clients send back whole sets of several hundred: so do we.  Values of
 * those that we know are checked, and none is taken where one is wrong. */
#include "server/a1111.h"

#include <stdio.h>
#include <string.h>

enum kind { TEXT, CHOICE, INT, REAL, FLAG, NOTHING };

static const struct setting {
    const char *name;
    enum kind kind;
    const char *initial; /* NULL: null, which a TEXT may be */
    double least, most;
    const char *choices; /* CHOICE: between bars */
} settings[] = {
    {"sd_model_checkpoint", TEXT, NULL, 0, 0, NULL},
    {"sd_vae", TEXT, "Automatic", 0, 0, NULL},
    {"CLIP_stop_at_last_layers", INT, "1", 1, 12, NULL},
    {"samples_format", CHOICE, "png", 0, 0, "|png|webp|"},
    {"randn_source", CHOICE, "NV", 0, 0, "|GPU|NV|CPU|"},
    {"eta_ddim", REAL, "0.0", 0, 10, NULL},
    {"eta_ancestral", REAL, "1.0", 0, 10, NULL},
    {"comma_padding_backtrack", INT, "20", 0, 74, NULL},
    {"pad_cond_uncond", FLAG, "true", 0, 0, NULL},
    {"live_previews_enable", FLAG, "true", 0, 0, NULL},
    {"enable_batch_seeds", NOTHING, "true", 0, 0, NULL},       /* told, and always so */
    {"show_progress_every_n_steps", NOTHING, "1", 0, 0, NULL}, /* likewise */
};
enum { SETTINGS = sizeof settings / sizeof *settings };

json_t *srv_a1111_options_make(void)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < SETTINGS; i++) {
        const struct setting *s = &settings[i];
        json_t *value = !s->initial                            ? json_null()
                        : s->kind == TEXT || s->kind == CHOICE ? json_string(s->initial)
                                                               : json_loads(s->initial, JSON_DECODE_ANY, NULL);
        if (json_object_set_new(o, s->name, value) != 0) {
            json_decref(o);
            o = NULL;
        }
    }
    return o;
}

static json_t *checked(const struct setting *s, const struct srv_a1111_values *v)
{
    char both[80];
    if (s->kind == TEXT)
        return srv_a1111_has(v, s->name) ? json_string(srv_a1111_text(v, s->name, "")) : json_null();
    if (s->kind == FLAG)
        return json_boolean(srv_a1111_flag(v, s->name, strcmp(s->initial, "true") == 0));
    if (s->kind == CHOICE) {
        const char *text = srv_a1111_text(v, s->name, s->initial);
        snprintf(both, sizeof both, "|%.60s|", text);
        if (!strstr(s->choices, both))
            srv_a1111_bad(v, s->name, 422, "%s is none of %s: '%.60s'", s->name, s->choices, text);
        return json_string(text);
    }
    json_t *first = json_loads(s->initial, JSON_DECODE_ANY, NULL);
    double is = s->kind == INT ? (double)srv_a1111_int(v, s->name, json_integer_value(first))
                               : srv_a1111_real(v, s->name, json_number_value(first));
    json_decref(first);
    if (!(is >= s->least && is <= s->most)) {
        srv_a1111_bad(v, s->name, 422, "%s is to be from %g to %g", s->name, s->least, s->most);
        is = s->least;
    }
    return s->kind == INT ? json_integer((json_int_t)is) : json_real(is);
}

bool srv_a1111_options_set(json_t *options, const json_t *given, const char *where, json_t *unknown,
                           struct srv_a1111_error *err)
{
    const struct srv_a1111_values v = {given, where, err};
    json_t *fresh = json_object();
    const char *name;
    json_t *value;
    bool whole = fresh != NULL;
    json_object_foreach((json_t *)given, name, value) {
        size_t i = 0;
        while (i < SETTINGS && strcmp(settings[i].name, name) != 0)
            i++;
        if (i == SETTINGS) {
            if (unknown && json_array_size(unknown) < 16)
                json_array_append_new(unknown, json_string(name));
        } else if (settings[i].kind != NOTHING)
            whole = json_object_set_new(fresh, name, checked(&settings[i], &v)) == 0 && whole;
    }
    if (!whole)
        srv_a1111_fail(err, 500, "", "out of memory");
    if (!err->status && json_object_update(options, fresh) != 0)
        srv_a1111_fail(err, 500, "", "out of memory");
    json_decref(fresh);
    return !err->status;
}
