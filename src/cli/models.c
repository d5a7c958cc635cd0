/* models.c - the report of `models` as people read it: a table for each folder, what is wrong or worth knowing below its row. */
#include "cli.h"

#include <string.h>

static const char *text_of(json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* Text from files: control characters become spaces. */
static void put_clean(FILE *to, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, to);
}

/* Several texts in a line, cut where it gets long. */
static void put_list(FILE *to, const char *title, json_t *list, size_t most)
{
    size_t n = json_array_size(list), columns = 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        size_t length = text ? strlen(text) : 0;
        if (!length)
            continue;
        if (columns && columns + length > most) {
            fputs(", ...", to);
            break;
        }
        if (!columns)
            fprintf(to, "    %s: ", title);
        fputs(columns ? ", " : "", to);
        put_clean(to, text);
        columns += length + 2;
    }
    if (columns)
        fputc('\n', to);
}

static void put_note(FILE *to, const char *title, const char *text)
{
    if (!*text)
        return;
    fprintf(to, "    %s: ", title);
    put_clean(to, text);
    fputc('\n', to);
}

static void put_model(FILE *to, json_t *m, bool verbose)
{
    char size[32] = "", family[48];
    json_t *bytes = json_object_get(m, "bytes");
    const char *variant = text_of(m, "variant");
    if (json_is_integer(bytes))
        cli_size_text(size, (double)json_integer_value(bytes));
    snprintf(family, sizeof family, "%s%s%s", text_of(m, "family"), *variant && *text_of(m, "family") ? " " : "", variant);
    fprintf(to, "  %-13s  %-16s %10s  %-10s  ", text_of(m, "kind"), *family ? family : "-", *size ? size : "folder",
            *text_of(m, "hash") ? text_of(m, "hash") : "-");
    put_clean(to, text_of(m, "name"));
    fputc('\n', to);
    put_note(to, "problem", text_of(m, "problem"));
    put_list(to, "triggers", json_object_get(m, "triggers"), 100);
    if (!verbose)
        return;
    put_list(to, "training tags", json_object_get(m, "tags"), 100);
    put_note(to, "title", text_of(m, "title"));
    put_note(to, "path", text_of(m, "path"));
    put_note(to, "sha256", text_of(m, "sha256"));
    put_note(to, "legacy hash", text_of(m, "legacy_hash"));
    put_note(to, "LoRA hash", text_of(m, "lora_hash"));
}

/* Whether a path lies below a folder, deeper than another that is below it too. */
static size_t below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/' ? n : 0;
}

static size_t folder_of(json_t *folders, const char *path)
{
    size_t best = 0, at = 0;
    for (size_t i = 0; i < json_array_size(folders); i++) {
        size_t n = below(path, text_of(json_array_get(folders, i), "path"));
        if (n > best)
            best = n, at = i;
    }
    return at;
}

static void put_models(FILE *to, json_t *report, bool verbose)
{
    json_t *folders = json_object_get(report, "folders"), *models = json_object_get(report, "models");
    size_t last = (size_t)-1;
    for (size_t i = 0; i < json_array_size(models); i++) {
        json_t *m = json_array_get(models, i);
        size_t folder = folder_of(folders, text_of(m, "path"));
        if (folder != last) {
            fputs(last != (size_t)-1 ? "\n" : "", to);
            put_clean(to, text_of(json_array_get(folders, folder), "path"));
            fputc('\n', to);
        }
        last = folder;
        put_model(to, m, verbose);
    }
    if (json_array_size(models))
        return;
    fputs("no model\n", to);
    for (size_t i = 0; i < json_array_size(folders); i++) {
        fputs(i ? "            " : "looked into ", to);
        put_clean(to, text_of(json_array_get(folders, i), "path"));
        fputc('\n', to);
    }
}

void cli_print_models(FILE *to, json_t *report)
{
    put_models(to, report, false);
}

void cli_print_models_verbose(FILE *to, json_t *report)
{
    put_models(to, report, true);
}
