/* print.c - errors, and reports as people read them.
 *
 * Reports are printed by rule, not member by member: a name's ending says its unit (_bytes, _s), and what a later
 * version adds to a report shows up here by itself. */
#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

vka_status cli_fail(vka_error *err, vka_status status, const char *what, ...)
{
    if (err->status == VKA_OK) {
        va_list ap;
        va_start(ap, what);
        vsnprintf(err->what, sizeof err->what, what, ap);
        va_end(ap);
        err->status = status;
        err->why[0] = err->hint[0] = '\0';
    }
    return status;
}

void cli_hint(vka_error *err, const char *hint, ...)
{
    if (err->hint[0])
        return;
    va_list ap;
    va_start(ap, hint);
    vsnprintf(err->hint, sizeof err->hint, hint, ap);
    va_end(ap);
}

json_t *cli_error_json(const vka_error *err)
{
    return json_pack("{s:i,s:s,s:s,s:s}", "code", (int)err->status, "what", err->what, "why", err->why, "hint",
                     err->hint);
}

/* One line: what a file name or a driver's text brings in is not to move the cursor. */
static void put_line(FILE *to, const char *before, const char *text)
{
    fputs(before, to);
    for (const char *p = text; *p; p++)
        fputc((unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p, to);
    fputc('\n', to);
}

void cli_print_error(const vka_error *err, bool ndjson)
{
    json_t *event = ndjson ? cli_error_json(err) : NULL;
    if (event && json_object_set_new(event, "event", json_string("error")) == 0) {
        char *line = json_dumps(event, JSON_COMPACT);
        if (line)
            fprintf(stderr, "%s\n", line);
        free(line);
        json_decref(event);
        if (line)
            return;
    }
    put_line(stderr, cli_use_colour() ? "vkanim: \033[1;31merror:\033[0m " : "vkanim: ", err->what);
    if (err->why[0])
        put_line(stderr, "  ", err->why);
    if (err->hint[0])
        put_line(stderr, "  try: ", err->hint);
}

const char *cli_size_text(char out[32], double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1024;
    snprintf(out, 32, "%.*f %s", unit && bytes < 99.95 ? 1 : 0, bytes, units[unit]);
    return out;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* A member's name without its unit and with spaces; returns its columns. */
static int put_name(FILE *to, const char *name)
{
    int length = (int)strlen(name);
    if (ends_with(name, "_bytes"))
        length -= 6;
    else if (ends_with(name, "_s"))
        length -= 2;
    for (int i = 0; i < length; i++)
        fputc(name[i] == '_' ? ' ' : name[i], to);
    return length;
}

static void put_value(FILE *to, const char *name, json_t *value);

/* "bytes 2.0 GiB, device local yes" */
static void put_inline(FILE *to, json_t *object)
{
    const char *name, *between = "";
    json_t *value;
    json_object_foreach(object, name, value)
    {
        fputs(between, to);
        put_name(to, name);
        fputc(' ', to);
        put_value(to, name, value);
        between = ", ";
    }
}

static void put_value(FILE *to, const char *name, json_t *value)
{
    char text[32];
    if (json_is_string(value)) {
        for (const char *p = json_string_value(value); *p; p++)
            fputc((unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p, to);
    } else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", to);
    else if (json_is_number(value)) {
        double v = json_number_value(value);
        if (ends_with(name, "bytes") || ends_with(name, "_memory") || ends_with(name, "bytes_per_step"))
            fputs(cli_size_text(text, v), to);
        else if (ends_with(name, "_s") || ends_with(name, "_per_it"))
            fprintf(to, "%.*f s", v < 1 ? 3 : 2, v);
        else if (json_is_integer(value) && fabs(v) < 1e10)
            fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
            fprintf(to, "%.4g", v);
    } else if (json_is_array(value)) {
        if (!json_array_size(value))
            fputs("none", to);
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_t *item = json_array_get(value, i);
            fputs(i ? json_is_object(item) ? "; " : ", " : "", to);
            put_value(to, name, item);
        }
    } else if (json_is_object(value))
        put_inline(to, value);
    else
        fputs("-", to);
}

/* Whether `names` (separated by spaces) has `name`. */
static bool listed(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = names; p && (p = strstr(p, name)); p += length)
        if ((p == names || p[-1] == ' ') && (p[length] == '\0' || p[length] == ' '))
            return true;
    return false;
}

/* Members one a line but those in `but`; notes, and objects in a list, on lines of their own. */
static void put_members(FILE *to, json_t *object, const char *but, int indent)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (listed(but, name) || json_is_null(value) || (json_is_string(value) && !*json_string_value(value)))
            continue;
        bool notes = strcmp(name, "notes") == 0 && json_is_array(value);
        if (notes && !json_array_size(value))
            continue;
        notes = notes || json_is_object(json_array_get(value, 0));
        fprintf(to, "%*s", indent, "");
        int column = indent + put_name(to, name);
        if (json_is_object(value) && json_object_size(value) > 1) {
            fputc('\n', to);
            put_members(to, value, NULL, indent + 2);
            continue;
        }
        fprintf(to, "%*s", column < 22 ? 22 - column : 1, "");
        for (size_t i = 0; notes && i < json_array_size(value); i++) {
            fprintf(to, "%*s", i ? 22 : 0, "");
            put_value(to, name, json_array_get(value, i));
            fputc('\n', to);
        }
        if (!notes) {
            put_value(to, name, value);
            fputc('\n', to);
        }
    }
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "?";
}

void cli_print_devices(FILE *to, json_t *report)
{
    json_t *list = json_object_get(report, "devices");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *device = json_array_get(list, i), *index = json_object_get(device, "index");
        fprintf(to, "%d: %s\n", json_is_integer(index) ? (int)json_integer_value(index) : (int)i,
                text_of(device, "name"));
        put_members(to, device, "index name", 2);
    }
    if (!json_array_size(list))
        fputs("no Vulkan device\n", to);
}

void cli_print_inspect(FILE *to, json_t *report)
{
    put_line(to, "", text_of(report, "path"));
    put_members(to, report, "schema command path", 2);
}

void cli_print_jobs(FILE *to, json_t *report)
{
    json_t *list = json_object_get(report, "jobs");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *job = json_array_get(list, i);
        put_line(to, "", text_of(job, "id"));
        put_members(to, job, "id", 2);
    }
    if (!json_array_size(list))
        fputs("no job to resume\n", to);
}

void cli_print_convert(FILE *to, json_t *report)
{
    char text[32];
    json_t *output = json_array_get(json_object_get(report, "outputs"), 0);
    put_line(to, "vkanim: ", text_of(output, "path"));
    fprintf(to, "vkanim: %" JSON_INTEGER_FORMAT " tensors, %s\n", json_integer_value(json_object_get(report, "tensors")),
            cli_size_text(text, json_number_value(json_object_get(output, "bytes"))));
}

void cli_print_render(FILE *to, json_t *report)
{
    char text[32];
    json_t *outputs = json_object_get(report, "outputs"), *timing = json_object_get(report, "timing"),
           *memory = json_object_get(report, "memory"), *settings = json_object_get(report, "settings");
    size_t count = json_array_size(outputs);
    for (size_t i = 0; i < count; i++) /* of many frames the first three and the last */
        if (count <= 8 || i < 3 || i == count - 1)
            put_line(to, "vkanim: ", text_of(json_array_get(outputs, i), "path"));
        else if (i == 3)
            put_line(to, "vkanim: ", "...");
    fputs("vkanim:", to);
    json_t *seed = json_object_get(settings, "seed");
    if (json_is_integer(seed))
        fprintf(to, " seed %" JSON_INTEGER_FORMAT ",", json_integer_value(seed));
    seed = json_object_get(settings, "subseed");
    if (json_is_integer(seed))
        fprintf(to, " sub-seed %" JSON_INTEGER_FORMAT ",", json_integer_value(seed));
    fprintf(to, " %.1f s", json_number_value(json_object_get(timing, "total_s")));
    if (json_is_number(json_object_get(timing, "s_per_it")))
        fprintf(to, " (%.2f s/it)", json_number_value(json_object_get(timing, "s_per_it")));
    if (json_is_number(json_object_get(memory, "peak_bytes")))
        fprintf(to, ", peak VRAM %s", cli_size_text(text, json_number_value(json_object_get(memory, "peak_bytes"))));
    fputc('\n', to);
}
