/* confine.c - see confine.h.
 *
 * Values are taken apart by the same rules as the library's own readers of lists (render/spec.c, setup_control.c, setup_ip.c,
 * setup_lora.c, embeddings.c), but never more generously: whatever both could read differently is refused. */
#include "server/confine.h"

#include "server/names.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors and texts ------------------------------------------------------------------------------------------ */

/* What a request said, short enough for a sentence and cut between characters. */
struct shown {
    char text[64];
};

static struct shown show(const char *text)
{
    struct shown s = {""};
    size_t n = 0;
    for (; text[n] && n < sizeof s.text - 1; n++)
        s.text[n] = (unsigned char)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n];
    if (text[n])
        while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    s.text[n] = '\0';
    return s;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
refuse(vka_error *err, vka_status status, const char *what, ...)
{
    va_list args;
    if (!err || err->status != VKA_OK)
        return;
    err->status = status;
    va_start(args, what);
    vsnprintf(err->what, sizeof err->what, what, args);
    va_end(args);
}

static void hint(vka_error *err, const char *text)
{
    if (err && !err->hint[0])
        snprintf(err->hint, sizeof err->hint, "%s", text);
}

static char *no_memory(vka_error *err)
{
    refuse(err, VKA_E_MEMORY, "out of memory");
    return NULL;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static char *
text_of(vka_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (!text)
        return no_memory(err);
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

static char *slice(const char *begin, size_t size, vka_error *err)
{
    char *text = malloc(size + 1);
    if (!text)
        return no_memory(err);
    memcpy(text, begin, size);
    text[size] = '\0';
    return text;
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

enum form {
    FORM_PLAIN,  /* names no file */
    FORM_NEVER,  /* not in a request */
    FORM_PROMPT, /* text in which <lora:NAME> may be */
    FORM_TRAVEL, /* such text, never the name of a file */
    FORM_MODEL,
    FORM_MOTION,      /* a model or "none" */
    FORM_LORA,        /* NAME[:WEIGHT[:WEIGHT]] */
    FORM_LORA_FRAMES, /* NAME=VALUES */
    FORM_EMBEDDING,   /* NAME[:WORD] */
    FORM_CONTROL,     /* NAME[,KEY=VALUE]..., source= being a file */
    FORM_IP,          /* the same, image= being files with ';' between them */
    FORM_FILE,
    FORM_KEYFRAME, /* N=FILE */
    FORM_OUTPUT
};

static const struct rule {
    const char *option;
    enum form form;
    const char *kind; /* of the model */
} rules_by_name[] = {
    {"prompt", FORM_PROMPT, NULL},
    {"negative", FORM_PROMPT, NULL},
    {"travel", FORM_TRAVEL, NULL},
    {"model", FORM_MODEL, "checkpoint"},
    {"motion", FORM_MOTION, "motion-module"},
    {"vae", FORM_MODEL, "vae"},
    {"vision", FORM_MODEL, "vision"},
    {"lora", FORM_LORA, "lora"},
    {"motion-lora", FORM_LORA, "motion-lora"},
    {"lora-frames", FORM_LORA_FRAMES, NULL},
    {"embedding", FORM_EMBEDDING, "embedding"},
    {"control", FORM_CONTROL, "controlnet"},
    {"ip-adapter", FORM_IP, "ip-adapter"},
    {"init", FORM_FILE, NULL},
    {"init-last", FORM_FILE, NULL},
    {"init-video", FORM_FILE, NULL},
    {"mask", FORM_FILE, NULL},
    {"keyframe", FORM_KEYFRAME, NULL},
    {"noise", FORM_FILE, NULL},
    {"step-noise", FORM_FILE, NULL},
    {"embeds", FORM_FILE, NULL},
    {"output", FORM_OUTPUT, NULL},
    /* files of this machine: whoever starts the server may give them */
    {"wildcards", FORM_NEVER, NULL},
    {"tokenizer", FORM_NEVER, NULL},
    {"trace", FORM_NEVER, NULL},
    {"save-hints", FORM_NEVER, NULL},
    /* the machine */
    {"device", FORM_NEVER, NULL},
    {"path", FORM_NEVER, NULL},
    {"vram", FORM_NEVER, NULL},
    {"device-memory", FORM_NEVER, NULL},
};

static struct rule rule_of(const vka_option *o)
{
    for (size_t i = 0; i < sizeof rules_by_name / sizeof *rules_by_name; i++)
        if (strcmp(rules_by_name[i].option, o->name) == 0)
            return rules_by_name[i];
    bool names_files = (o->marks & VKA_MARK_FILES) || o->kind == VKA_OPTION_PATH;
    return (struct rule){o->name, names_files ? FORM_NEVER : FORM_PLAIN, NULL};
}

bool srv_option_allowed(const vka_option *o)
{
    return (o->commands & VKA_FOR_RENDER) && !(o->marks & (VKA_MARK_COMMAND | VKA_MARK_LATER)) &&
           o->kind != VKA_OPTION_SIZE && rule_of(o).form != FORM_NEVER;
}

static const vka_option *option_of(const char *name)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

struct job {
    const struct srv_confine_rules *rules;
    const vka_option *o;
    struct rule rule;
    vka_error *err;
};

static char *bad_value(const struct job *j, const char *value, const char *wants)
{
    refuse(j->err, VKA_E_USAGE, "--%s cannot be '%s' in a request", j->o->name, show(value).text);
    hint(j->err, wants);
    return NULL;
}

/* A model's path. */
static char *model_path(const struct job *j, const char *name)
{
    if (!srv_name_is_model(name))
        return bad_value(j, name, "the name of a model as the list of models has it; paths are not taken");
    return j->rules->model(j->rules->user, j->rule.kind, name, j->err);
}

/* The path of "upload:NAME" or "result:NAME". */
static char *file_path(const struct job *j, const char *value)
{
    enum { HEAD = 7 };
    bool upload = strncmp(value, "upload:", HEAD) == 0, result = strncmp(value, "result:", HEAD) == 0;
    if ((!upload || !srv_name_is_upload(value + HEAD)) && (!result || !srv_name_is_result(value + HEAD)))
        return bad_value(j, value,
                         "upload:NAME or result:NAME, with the name that the server has given; paths are not taken");
    return j->rules->file(j->rules->user, upload ? SRV_UPLOAD : SRV_RESULT, value + HEAD, j->err);
}

/* Where a setting begins: a comma, letters, '='; *size is the length of the letters. */
static const char *next_setting(const char *p, size_t *size)
{
    for (; (p = strchr(p, ',')) != NULL; p++) {
        *size = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz-");
        if (*size && p[1 + *size] == '=')
            return p;
    }
    return NULL;
}

/* A path that goes into a list must not be taken apart there. */
static bool fits_list(const struct job *j, const char *path)
{
    size_t size;
    bool good = !strchr(path, ';') && !next_setting(path, &size);
    if (!good) {
        refuse(j->err, VKA_E_INPUT, "--%s cannot take a file in a folder whose name has ';' or ',...=' in it",
               j->o->name);
        hint(j->err, "start the server with another folder of results, or rename the folder of models");
    }
    return good;
}

/* ---- forms ----------------------------------------------------------------------------------------------------- */

/* What a prompt names is a model's name.  "<lora:" and "<lyco:" alone open files. */
static bool prompt_is_good(const struct job *j, const char *text)
{
    for (const char *p = strchr(text, '<'); p; p = strchr(p + 1, '<')) {
        if (strncmp(p, "<lora:", 6) != 0 && strncmp(p, "<lyco:", 6) != 0)
            continue;
        const char *begin = p + 6, *close = strchr(begin, '>');
        size_t n = strcspn(begin, ":>");
        if (!close || n == 0)
            continue;
        char *name = slice(begin, n, j->err);
        bool good = name && srv_name_is_model(name);
        if (name && !good)
            bad_value(j, p,
                      "<lora:NAME:WEIGHT> takes the name of a LoRA as the list of models has it; paths are not taken");
        free(name);
        if (!good)
            return false;
    }
    return true;
}

/* A text without a line's end may be the name of a file; with one it never is. */
static char *travel(const struct job *j, const char *text)
{
    return prompt_is_good(j, text) ? text_of(j->err, "%s%s", text, strchr(text, '\n') ? "" : "\n") : NULL;
}

static bool is_number(const char *text, size_t size)
{
    return size && size <= 32 && strspn(text, "0123456789.+-eE") >= size && strcspn(text, "0123456789") < size;
}

static char *lora(const struct job *j, const char *text)
{
    size_t end = strlen(text), numbers = 0;
    const char *part[2] = {"", ""}; /* the last one first */
    size_t length[2] = {0, 0};
    while (numbers < 2) {
        size_t colon = end;
        while (colon && text[colon - 1] != ':')
            colon--;
        if (colon < 2 || !is_number(text + colon, end - colon))
            break;
        part[numbers] = text + colon;
        length[numbers++] = end - colon;
        end = colon - 1;
    }
    char *name = slice(text, end, j->err), *path = name ? model_path(j, name) : NULL, *out = NULL;
    int first = numbers == 2; /* both numbers are always written: a path may end in a colon and a number itself */
    if (path && !numbers)
        out = text_of(j->err, "%s", path);
    else if (path)
        out = text_of(j->err, "%s:%.*s:%.*s", path, (int)length[first], part[first], (int)length[0], part[0]);
    free(name);
    free(path);
    return out;
}

/* The name is compared with those of --lora, whose values are paths by now: what is left of both is the last part. */
static char *lora_frames(const struct job *j, const char *text)
{
    const char *sign = strrchr(text, '=');
    char *name = sign ? slice(text, (size_t)(sign - text), j->err) : NULL, *out = NULL;
    if (!sign || strpbrk(sign, "/\\") || (name && !srv_name_is_model(name)))
        bad_value(j, text, "NAME=VALUES, the name of a LoRA as the list of models has it");
    else if (name) {
        const char *slash = strrchr(name, '/');
        out = text_of(j->err, "%s%s", slash ? slash + 1 : name, sign);
    }
    free(name);
    return out;
}

static char *embedding(const struct job *j, const char *text)
{
    vka_error first = {0};
    struct job trial = *j;
    trial.err = &first;
    const char *colon = strrchr(text, ':');
    char *path = model_path(&trial, text), *out = NULL;
    if (path || !colon || colon == text || !colon[1] || strchr(colon, '/') || first.status == VKA_E_MEMORY) {
        if (path)
            out = text_of(j->err, "%s", path);
        else if (j->err && j->err->status == VKA_OK)
            *j->err = first;
    } else {
        char *name = slice(text, (size_t)(colon - text), j->err);
        path = name ? model_path(j, name) : NULL;
        out = path ? text_of(j->err, "%s%s", path, colon) : NULL;
        free(name);
    }
    free(path);
    return out;
}

/* Several files with ';' between them. */
static char *file_list(const struct job *j, const char *text)
{
    char *out = text_of(j->err, "%s", "");
    for (const char *p = text; out; p++) {
        size_t n = strcspn(p, ";");
        char *one = slice(p, n, j->err), *path = one ? file_path(j, one) : NULL, *longer = NULL;
        if (path && fits_list(j, path))
            longer = text_of(j->err, "%s%s%s", out, *out ? ";" : "", path);
        free(one);
        free(path);
        free(out);
        out = longer;
        p += n;
        if (!*p)
            break;
    }
    return out;
}

/* A setting's value with real paths. */
static char *setting(const struct job *j, const char *key, const char *value)
{
    static const char *const control[] = {"weight", "start", "end", "mode", "process", "frames", "encode", NULL};
    static const char *const ip[] = {"frames", "weight", "start", "end", NULL};
    bool is_control = j->rule.form == FORM_CONTROL;
    if (is_control && strcmp(key, "source") == 0) {
        if (strcmp(value, "previous") == 0)
            return text_of(j->err, "%s", value);
        char *path = file_path(j, value);
        if (path && !fits_list(j, path)) {
            free(path);
            path = NULL;
        }
        return path;
    }
    if (!is_control && strcmp(key, "image") == 0)
        return file_list(j, value);
    for (const char *const *k = is_control ? control : ip; *k; k++)
        if (strcmp(*k, key) == 0) /* numbers and words */
            return strpbrk(value, "/\\") ? bad_value(j, value, "no path is taken here") : text_of(j->err, "%s", value);
    return bad_value(j, key,
                     is_control ? "its settings: source weight start end mode process frames encode"
                                : "its settings: image frames weight start end");
}

static char *spec(const struct job *j, const char *text)
{
    size_t size = 0;
    const char *comma = next_setting(text, &size);
    char *name = slice(text, comma ? (size_t)(comma - text) : strlen(text), j->err),
         *out = name ? model_path(j, name) : NULL;
    free(name);
    if (out && !fits_list(j, out)) {
        free(out);
        return NULL;
    }
    while (out && comma) {
        const char *begin = comma + 1;
        size_t length = size;
        comma = next_setting(begin + length + 1, &size);
        const char *from = begin + length + 1;
        char *key = slice(begin, length, j->err), *longer = NULL;
        char *value = key ? slice(from, comma ? (size_t)(comma - from) : strlen(from), j->err) : NULL;
        char *real = value ? setting(j, key, value) : NULL;
        if (real)
            longer = text_of(j->err, "%s,%s=%s", out, key, real);
        free(key);
        free(value);
        free(real);
        free(out);
        out = longer;
    }
    return out;
}

static char *keyframe(const struct job *j, const char *text)
{
    const char *sign = strchr(text, '='), *digits = text + (*text == '-');
    size_t n = strspn(digits, "0123456789");
    if (!sign || n == 0 || n > 7 || digits + n != sign)
        return bad_value(j, text, "N=upload:NAME, N being the number of a frame");
    char *path = file_path(j, sign + 1),
         *out = path ? text_of(j->err, "%.*s=%s", (int)(sign - text), text, path) : NULL;
    free(path);
    return out;
}

static char *output(const struct job *j, const char *text)
{
    if (!srv_name_is_output(text))
        return bad_value(
            j, text, "a plain name of letters, digits and ' ._+-', ending in .webp .gif .mp4 .webm .png .apng .y4m");
    return text_of(j->err, "%s/%s", j->rules->results, text);
}

/* One value of an option, as text. */
static char *confined(const struct job *j, const char *text)
{
    switch (j->rule.form) {
    case FORM_PROMPT:
        return prompt_is_good(j, text) ? text_of(j->err, "%s", text) : NULL;
    case FORM_TRAVEL:
        return travel(j, text);
    case FORM_MOTION:
        if (strcmp(text, "none") == 0)
            return text_of(j->err, "%s", text);
        return model_path(j, text);
    case FORM_MODEL:
        return model_path(j, text);
    case FORM_LORA:
        return lora(j, text);
    case FORM_LORA_FRAMES:
        return lora_frames(j, text);
    case FORM_EMBEDDING:
        return embedding(j, text);
    case FORM_CONTROL:
    case FORM_IP:
        return spec(j, text);
    case FORM_FILE:
        return file_path(j, text);
    case FORM_KEYFRAME:
        return keyframe(j, text);
    case FORM_OUTPUT:
        return output(j, text);
    case FORM_PLAIN:
    case FORM_NEVER:
        break;
    }
    return text_of(j->err, "%s", text);
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static void bad_type(const struct job *j)
{
    static const struct {
        vka_option_kind kind;
        const char *wants;
    } forms[] = {{VKA_OPTION_FLAG, "true or false"},
                 {VKA_OPTION_INT, "a whole number"},
                 {VKA_OPTION_REAL, "a number"},
                 {VKA_OPTION_LIST, "an array of texts"}};
    const char *wants = "a text";
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].kind == j->o->kind)
            wants = forms[i].wants;
    refuse(j->err, VKA_E_USAGE, "the job's \"%s\" is not %s", j->o->name, wants);
}

static json_t *text_value(const struct job *j, const json_t *value)
{
    bool prompt = j->rule.form == FORM_PROMPT || j->rule.form == FORM_TRAVEL;
    const char *text = json_string_value(value);
    size_t size = json_string_length(value), most = prompt ? SRV_JOB_PROMPT : SRV_JOB_TEXT;
    if (!text) {
        bad_type(j);
        return NULL;
    }
    if (strlen(text) != size || size > most || (!prompt && !srv_text_is_clean(text, most))) {
        refuse(j->err, VKA_E_USAGE, "the job's \"%s\" is longer than %zu bytes or has control characters", j->o->name,
               most);
        return NULL;
    }
    char *real = confined(j, text);
    json_t *out = real ? json_string(real) : NULL;
    if (real && !out) /* a path that is no UTF-8 */
        refuse(j->err, VKA_E_INPUT, "--%s: the path of '%s' is not UTF-8", j->o->name, show(text).text);
    free(real);
    return out;
}

static json_t *list_value(const struct job *j, const json_t *value)
{
    size_t most = j->rule.form == FORM_OUTPUT ? (size_t)SRV_JOB_OUTPUTS : (size_t)SRV_JOB_ITEMS,
           count = json_array_size(value);
    json_t *out = json_array();
    if (count > most)
        refuse(j->err, VKA_E_USAGE, "the job's \"%s\" has more than %zu values", j->o->name, most);
    for (size_t i = 0; out && count <= most && i < count; i++) {
        json_t *one = text_value(j, json_array_get(value, i));
        if (!one || json_array_append_new(out, one) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    if (out && count <= most)
        return out;
    json_decref(out);
    no_memory(j->err); /* kept out by an error that is there */
    return NULL;
}

/* A number of clips that does not keep the machine for days. */
static bool count_is_good(const struct job *j, const json_t *value)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;
    bool good = text ? *text && !*end && n <= SRV_JOB_COUNT : json_integer_value(value) <= SRV_JOB_COUNT;
    if (!good)
        refuse(j->err, VKA_E_USAGE, "a request's --count is at most %d", SRV_JOB_COUNT);
    return good;
}

static json_t *value_of(const struct job *j, const json_t *value)
{
    bool is_text = json_is_string(value), good = is_text;
    switch (j->o->kind) {
    case VKA_OPTION_LIST:
        if (json_is_array(value))
            return list_value(j, value);
        if (is_text) {
            json_t *one = json_pack("[O]", value), *out = one ? list_value(j, one) : NULL;
            json_decref(one);
            if (!one)
                no_memory(j->err);
            return out;
        }
        break;
    case VKA_OPTION_FLAG:
        good = good || json_is_boolean(value);
        break;
    case VKA_OPTION_INT:
        good = good || json_is_integer(value);
        if (good && strcmp(j->o->name, "count") == 0 && !count_is_good(j, value))
            return NULL;
        break;
    case VKA_OPTION_REAL:
        good = good || json_is_number(value);
        break;
    case VKA_OPTION_TEXT:
    case VKA_OPTION_PATH:
    case VKA_OPTION_CHOICE:
    case VKA_OPTION_SIZE:
        break;
    }
    if (!good) {
        bad_type(j);
        return NULL;
    }
    if (is_text)
        return text_value(j, value);
    json_t *copy = json_copy((json_t *)(uintptr_t)value);
    if (!copy)
        no_memory(j->err);
    return copy;
}

static bool key_is_good(const char *key, const vka_option *o, vka_error *err)
{
    if (!o) {
        const vka_option *near = vka_option_nearest(key);
        refuse(err, VKA_E_USAGE, "there is no option '%s'", show(key).text);
        if (near && srv_option_allowed(near) && err && !err->hint[0])
            snprintf(err->hint, sizeof err->hint, "%s?", near->name);
    } else if (o->marks & VKA_MARK_COMMAND)
        refuse(err, VKA_E_USAGE, "--%s is the command's own and no part of a job", o->name);
    else if (!srv_option_allowed(o)) {
        refuse(err, VKA_E_USAGE, "--%s is not for requests", o->name);
        hint(err, "files, devices and budgets of the machine are given to 'vkanim serve' itself");
    } else
        return true;
    return false;
}

json_t *srv_confine_job(const struct srv_confine_rules *rules, const json_t *request, vka_error *err)
{
    vka_error own = {0};
    struct job j = {.rules = rules, .err = &own};
    json_t *out = json_object(), *value;
    const char *key;
    bool good = out != NULL;
    if (!json_is_object(request))
        refuse(&own, VKA_E_USAGE, "the job is not a JSON object");
    else if (json_object_size(request) > SRV_JOB_KEYS)
        refuse(&own, VKA_E_USAGE, "the job has more than %d members", SRV_JOB_KEYS);
    else
        json_object_foreach((json_t *)(uintptr_t)request, key, value)
        {
            j.o = option_of(key);
            good = good && key_is_good(key, j.o, &own);
            if (!good)
                break;
            j.rule = rule_of(j.o);
            json_t *real = value_of(&j, value);
            good = real && json_object_set_new(out, key, real) == 0;
            if (!good)
                break;
        }
    if (good && own.status == VKA_OK)
        return out;
    json_decref(out);
    if (own.status == VKA_OK)
        no_memory(&own);
    if (err && err->status == VKA_OK)
        *err = own;
    return NULL;
}
