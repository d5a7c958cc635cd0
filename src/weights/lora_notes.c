/* lora_notes.c - what is worth knowing about a LoRA file, in sentences: its form, and what its trainer wrote into it.
 *
 * Metadata are anybody's texts: they are cut to a line's length between characters, and control characters become spaces. */
#include "weights/lora_int.h"

#include "base/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 160, TAGS = 8, MOST_TAGS = 20000 };

struct notes {
    void (*note)(void *user, const char *text);
    void *user;
};

static void say(const struct notes *n, const char *format, ...) VKA_PRINTF(2, 3);
static void say(const struct notes *n, const char *format, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    n->note(n->user, text);
}

/* The beginning of a text as one line. */
static void line(char out[TEXT], const char *text)
{
    size_t n = 0;
    while (text[n] && n < TEXT - 1) {
        out[n] = (unsigned char)text[n] < 32 || text[n] == 127 ? ' ' : text[n];
        n++;
    }
    while (text[n] && n && ((unsigned char)text[n] & 0xc0) == 0x80) /* not in the middle of a character */
        n--;
    out[n] = '\0';
}

static void say_form(const struct notes *n, const vka_lora_info *f)
{
    char rank[48] = "", alpha[96] = "", low[32], high[32], where[80] = "";
    if (f->rank_low == f->rank_high && f->rank_low)
        snprintf(rank, sizeof rank, ", rank %u", (unsigned)f->rank_low);
    else if (f->rank_low)
        snprintf(rank, sizeof rank, ", ranks %u to %u", (unsigned)f->rank_low, (unsigned)f->rank_high);
    vka_format_real(low, sizeof low, f->alpha_low, 'g', 6);
    vka_format_real(high, sizeof high, f->alpha_high, 'g', 6);
    if (f->alpha_high != 0 && !strcmp(low, high))
        snprintf(alpha, sizeof alpha, ", alpha %s", high);
    else if (f->alpha_high != 0)
        snprintf(alpha, sizeof alpha, ", alphas %s to %s", low, high);
    if (f->motion && f->motion < f->modules)
        snprintf(where, sizeof where, ", %zu of them in motion modules", f->motion);
    else if (f->text && f->text < f->modules)
        snprintf(where, sizeof where, ", %zu of them in the text encoder", f->text);
    say(n, "%s of %zu layer%s%s%s%s; names in the form of %s", f->algorithm, f->modules, f->modules == 1 ? "" : "s", where,
        rank, alpha, f->dialect);
}

/* The most frequent tags of all of kohya's training folders. */
static void say_tags(const struct notes *n, const char *json)
{
    json_t *all = json_loads(json, 0, NULL), *sum = json_object(), *folder, *value;
    const char *key, *tag;
    json_object_foreach(all, key, folder)
    {
        json_object_foreach(folder, tag, value)
        {
            json_int_t count = json_integer_value(value) + json_integer_value(json_object_get(sum, tag));
            if (sum && json_object_size(sum) < MOST_TAGS && count > 0 && count < INT32_MAX)
                json_object_set_new(sum, tag, json_integer(count));
        }
    }
    char text[400] = "", one[TEXT];
    for (int i = 0; i < TAGS && json_object_size(sum); i++) {
        const char *best = NULL;
        json_int_t most = 0;
        json_object_foreach(sum, tag, value)
        {
            json_int_t count = json_integer_value(value); /* of equal ones the first by name */
            if (count > most || (count == most && best && strcmp(tag, best) < 0)) {
                most = count;
                best = tag;
            }
        }
        if (!best)
            break;
        line(one, best);
        size_t at = strlen(text);
        if (at + strlen(one) + 32 < sizeof text)
            snprintf(text + at, sizeof text - at, "%s%s (%lld)", at ? ", " : "", one, (long long)most);
        json_object_del(sum, best);
    }
    if (text[0])
        say(n, "most frequent tags of its training: %s", text);
    json_decref(sum);
    json_decref(all);
}

void vka_lora_notes(const vka_lora *l, void (*note)(void *user, const char *text), void *user)
{
    static const struct {
        const char *key, *sentence;
    } keys[] = {{"ss_output_name", "named '%s' by its trainer"},
                {"modelspec.title", "title '%s'"},
                {"modelspec.architecture", "made for %s"},
                {"ss_base_model_version", "trained on a model of the kind %s"},
                {"ss_sd_model_name", "trained on '%s'"},
                {"ss_network_module", "trained with %s"},
                {"modelspec.trigger_phrase", "trigger words: %s"},
                {"modelspec.trigger_word", "trigger words: %s"},
                {"modelspec.license", "licence: %s"}};
    const struct notes n = {note, user};
    const vka_lora_info *f = &l->info;
    size_t faults = 0;
    const vka_error *first = NULL;
    say_form(&n, f);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *value = vka_safetensors_metadata(l->st, keys[i].key);
        char text[TEXT];
        if (!value || !*value)
            continue;
        line(text, value);
        char sentence[TEXT + 64], *at;
        snprintf(sentence, sizeof sentence, "%s", keys[i].sentence);
        at = strstr(sentence, "%s");
        if (at) {
            const char *tail = strstr(keys[i].sentence, "%s") + 2;
            snprintf(at, sizeof sentence - (size_t)(at - sentence), "%s%s", text, tail);
        }
        say(&n, "%s", sentence);
    }
    const char *tags = vka_safetensors_metadata(l->st, "ss_tag_frequency");
    if (tags)
        say_tags(&n, tags);
    for (size_t i = 0; i < l->count; i++)
        if (l->modules[i].fault) {
            first = first ? first : l->modules[i].fault;
            faults++;
        }
    if (faults)
        say(&n, "layers that are damaged: %zu; %.400s", faults, first->what);
    if (f->strangers)
        say(&n, "tensors of no LoRA form that is known: %zu, for example '%.160s'", f->strangers, f->stranger);
}
