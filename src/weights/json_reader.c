/* json_reader.c - see json_reader.h, and vka_json_parse of config.h. */
#include "weights/json_reader.h"

#include "base/file.h"
#include "weights/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT = 16 * 1024 * 1024 };

bool vka_json_no_memory(const json_error_t *e)
{
    return json_error_code(e) == json_error_out_of_memory || !e->text[0]; /* not every path in jansson says why */
}

json_t *vka_json_parse(const char *text, size_t size, const char *path, vka_error *err)
{
    json_error_t je;
    if (size > CONFIG_LIMIT) {
        vka_fail(err, VKA_E_INPUT, "'%s' is larger than the %d bytes such a file may have", path, (int)CONFIG_LIMIT);
        return NULL;
    }
    json_t *j = json_loadb(text, size, JSON_REJECT_DUPLICATES, &je);
    if (!j && vka_json_no_memory(&je)) {
        vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
    } else if (!j) {
        vka_fail(err, VKA_E_INPUT, "'%s' is not valid JSON", path);
        vka_error_why(err, "line %d: %s", je.line, je.text);
    } else if (!json_is_object(j)) {
        vka_fail(err, VKA_E_INPUT, "'%s' is not a JSON object", path);
        json_decref(j);
        j = NULL;
    }
    return j;
}

json_t *vka_json_load(const char *path, vka_error *err)
{
    char *text;
    size_t size;
    if (vka_read_file(path, CONFIG_LIMIT, &text, &size, err) != VKA_OK)
        return NULL;
    json_t *j = vka_json_parse(text, size, path, err);
    free(text);
    return j;
}

const json_t *vka_json_get(const vka_json_reader *r, const char *key)
{
    const json_t *j = json_object_get(r->object, key);
    return json_is_null(j) ? NULL : j;
}

void vka_json_refuse(vka_json_reader *r, const char *key, const char *text)
{
    if (r->status == VKA_OK)
        r->status = vka_fail(r->err, VKA_E_INPUT, "'%s': %s %s", r->path, key, text);
}

static void read_uint(vka_json_reader *r, const char *key, const json_t *j, uint32_t *value, uint32_t low,
                      uint32_t high)
{
    char text[96];
    json_int_t v = json_is_integer(j) ? json_integer_value(j) : -1;
    if (json_is_real(j) && json_real_value(j) == floor(json_real_value(j)) && fabs(json_real_value(j)) < 1e9)
        v = (json_int_t)json_real_value(j);
    if ((!json_is_number(j)) || v < (json_int_t)low || v > (json_int_t)high) {
        snprintf(text, sizeof text, "is not a whole number from %u to %u", (unsigned)low, (unsigned)high);
        vka_json_refuse(r, key, text);
    } else
        *value = (uint32_t)v;
}

void vka_json_uint(vka_json_reader *r, const char *key, uint32_t *value, uint32_t low, uint32_t high)
{
    const json_t *j = vka_json_get(r, key);
    if (j)
        read_uint(r, key, j, value, low, high);
}

void vka_json_uints(vka_json_reader *r, const char *key, uint32_t *values, uint32_t count, uint32_t low, uint32_t high)
{
    const json_t *j = vka_json_get(r, key);
    char text[96];
    if (!j)
        return;
    if (json_is_array(j) && json_array_size(j) != count) {
        snprintf(text, sizeof text, "has %zu entries, but the model has %u levels", json_array_size(j),
                 (unsigned)count);
        vka_json_refuse(r, key, text);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        read_uint(r, key, json_is_array(j) ? json_array_get(j, i) : j, &values[i], low, high);
}

void vka_json_real(vka_json_reader *r, const char *key, double low, double high, double *value)
{
    const json_t *j = vka_json_get(r, key);
    char text[96];
    if (!j)
        return;
    double v = json_number_value(j);
    if (!json_is_number(j) || !(v >= low && v <= high)) {
        snprintf(text, sizeof text, "is not a number from %g to %g", low, high);
        vka_json_refuse(r, key, text);
    } else
        *value = v;
}

void vka_json_float(vka_json_reader *r, const char *key, double low, double high, float *value)
{
    double v = (double)*value;
    vka_json_real(r, key, low, high, &v);
    if (vka_json_get(r, key))
        *value = (float)v;
}

void vka_json_bool(vka_json_reader *r, const char *key, bool *value)
{
    const json_t *j = vka_json_get(r, key);
    if (!j)
        return;
    if (!json_is_boolean(j))
        vka_json_refuse(r, key, "is not true or false");
    else
        *value = json_is_true(j);
}

void vka_json_text(vka_json_reader *r, const char *key, char *value, size_t cap)
{
    const json_t *j = vka_json_get(r, key);
    if (!j)
        return;
    if (!json_is_string(j) || json_string_length(j) >= cap)
        vka_json_refuse(r, key, "is not a short text");
    else
        snprintf(value, cap, "%s", json_string_value(j));
}

void vka_json_must_be(vka_json_reader *r, const char *key, const char *allowed)
{
    const json_t *j = vka_json_get(r, key);
    char text[128];
    if (!j || json_is_false(j) || (allowed && json_is_string(j) && strcmp(json_string_value(j), allowed) == 0))
        return;
    if (json_is_array(j)) { /* one entry per level: all of them false */
        size_t i = 0;
        while (i < json_array_size(j) && json_is_false(json_array_get(j, i)))
            i++;
        if (i == json_array_size(j))
            return;
    }
    if (json_is_string(j))
        snprintf(text, sizeof text, "is '%.60s', which is not supported", json_string_value(j));
    else if (json_is_integer(j))
        snprintf(text, sizeof text, "is %lld, which is not supported", (long long)json_integer_value(j));
    else
        snprintf(text, sizeof text, "is set, which is not supported");
    vka_json_refuse(r, key, text);
}

void vka_json_must_be_number(vka_json_reader *r, const char *key, double value)
{
    const json_t *j = vka_json_get(r, key);
    char text[96];
    if (!j || (json_is_number(j) && !(json_number_value(j) < value) && !(json_number_value(j) > value)))
        return;
    snprintf(text, sizeof text, "is not %g, which is not supported", value);
    vka_json_refuse(r, key, text);
}
