/* maths.c - see maths.h.  A recursive descent, one function for each level of precedence; the text is gone through once. */
#include "text/maths.h"

#include "base/mem.h"
#include "base/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *p;
    const struct vka_maths_value *values;
    size_t count;
    uint32_t depth;
    const char *wrong; /* what was met; NULL: all is well */
};

static double read_sum(struct reader *r);

static double fail(struct reader *r, const char *wrong)
{
    r->wrong = r->wrong ? r->wrong : wrong;
    return 0;
}

static void skip_spaces(struct reader *r)
{
    while (*r->p == ' ' || (*r->p >= '\t' && *r->p <= '\r'))
        r->p++;
}

static bool take(struct reader *r, const char *sign)
{
    size_t n = strlen(sign);
    skip_spaces(r);
    if (r->wrong || strncmp(r->p, sign, n) != 0)
        return false;
    r->p += n;
    return true;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

static double absolute(double x) { return fabs(x); }

static const struct {
    const char *name;
    double (*one)(double);
} functions[] = {
    {"abs", absolute}, {"sin", sin},   {"cos", cos},     {"tan", tan},   {"exp", exp},
    {"log", log},      {"sqrt", sqrt}, {"floor", floor}, {"ceil", ceil},
};

static const char *const pairs[] = {"min", "max", "pow"};

static bool is(const char *name, size_t n, const char *word)
{
    return strlen(word) == n && !memcmp(name, word, n);
}

/* Behind the name and its bracket. */
static double read_pair(struct reader *r, const char *name)
{
    double v = read_sum(r);
    uint32_t more = 0;
    for (; take(r, ","); more++) {
        double w = read_sum(r);
        v = *name == 'p' ? pow(v, w) : name[1] == 'i' ? fmin(v, w) : fmax(v, w);
    }
    if (!more || (*name == 'p' && more > 1))
        return fail(r, "pow takes two numbers, min and max two or more");
    return take(r, ")") ? v : fail(r, "a bracket is not closed");
}

static double read_name(struct reader *r)
{
    const char *name = r->p;
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789");
    r->p += n;
    for (size_t i = 0; i < r->count; i++)
        if (is(name, n, r->values[i].name))
            return r->values[i].value;
    if (is(name, n, "pi"))
        return 3.14159265358979323846;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (is(name, n, pairs[i]))
            return take(r, "(") ? read_pair(r, pairs[i]) : fail(r, "a function wants its numbers in brackets");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!is(name, n, functions[i].name))
            continue;
        if (!take(r, "("))
            return fail(r, "a function wants its numbers in brackets");
        double v = functions[i].one(read_sum(r));
        return take(r, ")") ? v : fail(r, "a bracket is not closed");
    }
    return fail(r, "it knows the names t, max_f, pw_a to pw_d, pi, abs, sin, cos, tan, exp, log, sqrt, floor, ceil, min, max and pow");
}

/* ---- levels of precedence --------------------------------------------------------------------------------------- */

static double read_atom(struct reader *r)
{
    char *end;
    skip_spaces(r);
    if (take(r, "(")) {
        double v = read_sum(r);
        return take(r, ")") ? v : fail(r, "a bracket is not closed");
    }
    if (*r->p >= 'a' && *r->p <= 'z')
        return read_name(r);
    double v = *r->p == '-' || *r->p == '+' ? 0 : vka_parse_real(r->p, &end);
    if (*r->p == '-' || *r->p == '+' || end == r->p)
        return fail(r, "a number, a name or a bracket is wanted");
    r->p = end;
    return v;
}

static double read_signed(struct reader *r)
{
    double v;
    if (r->depth == VKA_MATHS_DEPTH)
        return fail(r, "brackets and signs lie too deep in one another");
    r->depth++;
    if (take(r, "-"))
        v = -read_signed(r);
    else if (take(r, "+"))
        v = read_signed(r);
    else {
        v = read_atom(r);
        if (take(r, "**"))
            v = pow(v, read_signed(r));
    }
    r->depth--;
    return v;
}

static double read_product(struct reader *r)
{
    double v = read_signed(r);
    while (!r->wrong)
        if (take(r, "*"))
            v *= read_signed(r);
        else if (take(r, "/"))
            v /= read_signed(r);
        else if (take(r, "%"))
            v = fmod(v, read_signed(r));
        else
            break;
    return v;
}

static double read_sum(struct reader *r)
{
    double v = read_product(r);
    while (!r->wrong)
        if (take(r, "+"))
            v += read_product(r);
        else if (take(r, "-"))
            v -= read_product(r);
        else
            break;
    return v;
}

vka_status vka_maths_evaluate(const char *text, size_t size, const struct vka_maths_value *values, size_t count, double *out,
                              vka_error *err)
{
    struct reader r = {.values = values, .count = count};
    char *copy = size <= VKA_MATHS_MAX ? calloc(size + 1, 1) : NULL;
    if (!copy && size <= VKA_MATHS_MAX)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (copy) {
        memcpy(copy, text, size);
        r.p = copy;
        *out = read_sum(&r);
        skip_spaces(&r);
        if (*r.p)
            fail(&r, "something stands behind its end");
        if (!isfinite(*out))
            fail(&r, "it comes out as no finite number");
    } else
        r.wrong = "it is too long";
    free(copy);
    if (!r.wrong)
        return VKA_OK;
    vka_fail(err, VKA_E_USAGE, "the expression `%.*s` cannot be worked out", (int)(size < 100 ? size : 100), text);
    vka_error_why(err, "%s", r.wrong);
    return VKA_E_USAGE;
}
