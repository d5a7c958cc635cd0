/* a1111_read.c - values of a request, as leniently as A1111's pydantic reads them, and errors in FastAPI's manner.  See
 * a1111.h. */
#include "server/a1111.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool srv_a1111_fail(struct srv_a1111_error *err, unsigned status, const char *field, const char *text, ...)
{
    if (err->status)
        return false;
    va_list ap;
    va_start(ap, text);
    vsnprintf(err->text, sizeof err->text, text, ap);
    va_end(ap);
    snprintf(err->field, sizeof err->field, "%s", field);
    err->status = status;
    return false;
}

bool srv_a1111_bad(const struct srv_a1111_values *v, const char *name, unsigned status, const char *text, ...)
{
    char field[sizeof v->err->field], line[sizeof v->err->text];
    va_list ap;
    va_start(ap, text);
    vsnprintf(line, sizeof line, text, ap);
    va_end(ap);
    snprintf(field, sizeof field, "%s%s%s", v->where, *v->where ? "." : "", name);
    return srv_a1111_fail(v->err, status, field, "%s", line);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool srv_a1111_same(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b))
        a++, b++;
    return lower(*a) == lower(*b);
}

static const json_t *member(const struct srv_a1111_values *v, const char *name)
{
    const json_t *value = json_object_get(v->object, name);
    return json_is_null(value) ? NULL : value;
}

bool srv_a1111_has(const struct srv_a1111_values *v, const char *name)
{
    return member(v, name) != NULL;
}

/* A number, also one that stands in a text. */
static bool number_of(const json_t *value, double *out)
{
    if (json_is_string(value)) {
        json_t *inside = json_loads(json_string_value(value), JSON_DECODE_ANY, NULL);
        bool is = json_is_number(inside);
        *out = json_number_value(inside);
        json_decref(inside);
        return is && isfinite(*out);
    }
    *out = json_number_value(value);
    return json_is_number(value) && isfinite(*out);
}

json_int_t srv_a1111_int(const struct srv_a1111_values *v, const char *name, json_int_t initial)
{
    static const double most = 9007199254740992.0; /* 2^53: beyond it a real is no whole number for sure */
    const json_t *value = member(v, name);
    double real;
    if (json_is_integer(value))
        return json_integer_value(value);
    if (!value)
        return initial;
    if (number_of(value, &real) && floor(real) == real && fabs(real) <= most)
        return (json_int_t)real;
    srv_a1111_bad(v, name, 422, "%s is to be a whole number", name);
    return initial;
}

double srv_a1111_real(const struct srv_a1111_values *v, const char *name, double initial)
{
    const json_t *value = member(v, name);
    double real;
    if (!value)
        return initial;
    if (number_of(value, &real))
        return real;
    srv_a1111_bad(v, name, 422, "%s is to be a number", name);
    return initial;
}

bool srv_a1111_flag(const struct srv_a1111_values *v, const char *name, bool initial)
{
    static const char *const words[2][4] = {{"false", "off", "no", "0"}, {"true", "on", "yes", "1"}};
    const json_t *value = member(v, name);
    const char *text = json_string_value(value);
    if (!value)
        return initial;
    if (json_is_boolean(value))
        return json_is_true(value);
    if (json_is_integer(value) && (json_integer_value(value) == 0 || json_integer_value(value) == 1))
        return json_integer_value(value) == 1;
    for (int is = 0; text && is < 2; is++)
        for (int i = 0; i < 4; i++)
            if (srv_a1111_same(text, words[is][i]))
                return is == 1;
    srv_a1111_bad(v, name, 422, "%s is to be true or false", name);
    return initial;
}

const char *srv_a1111_text(const struct srv_a1111_values *v, const char *name, const char *initial)
{
    const json_t *value = member(v, name);
    if (!value)
        return initial;
    if (json_is_string(value))
        return json_string_value(value);
    srv_a1111_bad(v, name, 422, "%s is to be a text", name);
    return initial;
}

json_t *srv_a1111_error_json(const struct srv_a1111_error *err)
{
    const char *kind = err->status == 422 ? "ValidationError" : err->status < 500 ? "HTTPException" : "RuntimeError";
    json_t *detail = json_string(err->text);
    if (err->status == 422) { /* [{"loc": ["body", ...], "msg", "type"}] */
        json_t *where = json_pack("[s]", "body");
        char field[sizeof err->field], *rest = field;
        snprintf(field, sizeof field, "%s", err->field);
        while (where && rest && *rest) {
            char *dot = strchr(rest, '.');
            if (dot)
                *dot = '\0';
            json_array_append_new(where, json_string(rest));
            rest = dot ? dot + 1 : NULL;
        }
        detail = json_pack("[{s:o, s:o, s:s}]", "loc", where, "msg", detail, "type", "value_error");
    }
    return json_pack("{s:s, s:o, s:s, s:s}", "error", kind, "detail", detail, "body", "", "errors", err->text);
}
