/* options.c - options by name, and values as text: parsing, ranges, choices.  The rows are in option_table.c. */
#include "render/options.h"

#include "base/number.h"
#include "render/job.h"
#include "sample/values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vka_option *vka_option_find(const char *name)
{
    size_t count;
    const vka_option *table = vka_options(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* Optimal string alignment distance (insert, delete, replace, swap neighbours), or more than `limit`. */
static unsigned distance(const char *a, const char *b, unsigned limit)
{
    enum { MOST = 24 };
    unsigned row[3][MOST + 1];
    size_t m = strlen(a), n = strlen(b);
    if (m > MOST || n > MOST)
        return limit + 1;
    for (size_t j = 0; j <= n; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= m; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[m % 3][n];
}

const vka_option *vka_option_nearest(const char *name)
{
    const vka_option *nearest = NULL;
    size_t count;
    const vka_option *table = vka_options(&count);
    unsigned best = 3; /* two slips; a name of which only the beginning was typed counts as one */
    for (size_t i = 0; name && *name && i < count; i++) {
        if (table[i].marks & VKA_MARK_LATER)
            continue;
        unsigned d = distance(name, table[i].name, best);
        size_t length = strlen(name);
        if (length >= 3 && strncmp(name, table[i].name, length) == 0)
            d = 1;
        if (d < best && d <= strlen(table[i].name) / 3) { /* of a short name one slip leaves little */
            best = d;
            nearest = &table[i];
        }
    }
    return nearest;
}

vka_status vka_option_check(const char *name, const vka_option **option, vka_error *err)
{
    const vka_option *o = name ? vka_option_find(name) : NULL;
    if (!o) {
        vka_fail(err, VKA_E_USAGE, "unknown option '%.100s'", name ? name : "");
        o = vka_option_nearest(name);
        if (o && !(o->marks & VKA_MARK_COMMAND))
            vka_error_hint(err, "did you mean '%s'?", o->name);
        return VKA_E_USAGE;
    }
    if (o->marks & VKA_MARK_LATER) {
        vka_fail(err, VKA_E_USAGE, "--%s is not in this version", o->name);
        vka_error_why(err, "the name is reserved and nothing is built for it yet");
        return VKA_E_USAGE;
    }
    if (o->marks & VKA_MARK_COMMAND)
        return vka_fail(err, VKA_E_USAGE, "--%s is an option of the command, not of a job", o->name);
    *option = o;
    return VKA_OK;
}

/* ---- numbers ----------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool vka_parse_int(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (!is_digit(*text))
        return false;
    uint64_t v = 0, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    for (; is_digit(*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (v > (most - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (*text)
        return false;
    *out = negative ? (v ? -(int64_t)(v - 1) - 1 : 0) : (int64_t)v;
    return true;
}

bool vka_parse_whole_real(const char *text, double *out)
{
    char *end;
    double v = vka_parse_real(text, &end);
    if (end == text || *end || !isfinite(v))
        return false;
    *out = v;
    return true;
}

bool vka_parse_size(const char *text, uint64_t *out)
{
    static const char units[] = "kmgt";
    char *p;
    double v = vka_parse_real(text, &p), scale = 1;
    if (p == text || (!is_digit(*text) && *text != '.'))
        return false;
    if (*p) {
        const char *unit = strchr(units, *p | 0x20);
        if (!unit || !((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z')))
            return false;
        for (const char *u = units; u <= unit; u++)
            scale *= 1024;
        p++;
        if (*p && strcmp(p, "iB") != 0)
            return false;
    } else { /* a plain number of bytes keeps every digit */
        int64_t whole;
        if (vka_parse_int(text, &whole) && whole > 0) {
            *out = (uint64_t)whole;
            return true;
        }
    }
    v = floor(v * scale);
    if (!(v >= 1 && v < 9223372036854775808.0))
        return false;
    *out = (uint64_t)v;
    return true;
}

bool vka_parse_flag(const char *text, bool *out)
{
    static const char *const words[] = {"false", "no", "off", "0", "true", "yes", "on", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) {
            *out = i >= 4;
            return true;
        }
    return false;
}

bool vka_is_utf8(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    while (*p) {
        unsigned c = *p++, more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;
        if (more == 9)
            return false;
        unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        for (; more; more--, p++, low = 0x80, high = 0xbf)
            if (*p < low || *p > high)
                return false;
    }
    return true;
}

/* ---- checks ------------------------------------------------------------------------------------------ */

/* The words of `choices` that can be used, separated by spaces. */
static void built_choices(const char *choices, char *out, size_t size)
{
    size_t n = strcspn(choices, "|");
    while (n && choices[n - 1] == ' ')
        n--;
    snprintf(out, size, "%.*s", (int)n, choices);
}

static vka_status check_choice(const vka_option *o, const char *value, vka_error *err)
{
    bool later = false, known = false;
    size_t length = strlen(value);
    for (const char *p = o->choices; *p;) {
        size_t n = strcspn(p, " ");
        if (n == 1 && *p == '|')
            later = true;
        else if (n == length && memcmp(p, value, n) == 0) {
            if (!later)
                return VKA_OK;
            known = true;
        }
        p += n;
        p += strspn(p, " ");
    }
    char list[256];
    built_choices(o->choices, list, sizeof list);
    if (known) {
        vka_fail(err, VKA_E_USAGE, "--%s %s is not in this version", o->name, value);
        vka_error_why(err, "the name is reserved and nothing is built for it yet");
    } else
        vka_fail(err, VKA_E_USAGE, "--%s does not know '%.100s'", o->name, value);
    vka_error_hint(err, "one of: %s", list);
    return VKA_E_USAGE;
}

vka_status vka_beta_parse(const char *text, bool *is_auto, vka_beta_kind *kind, double *start, double *end,
                          vka_error *err)
{
    *is_auto = strcmp(text, "auto") == 0;
    *start = *end = 0;
    if (*is_auto)
        return VKA_OK;
    char part[3][64];
    size_t parts = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ":");
        if (parts == 3 || n >= sizeof part[0])
            break;
        memcpy(part[parts], p, n);
        part[parts++][n] = '\0';
        p += n;
        if (!*p) {
            if (parts == 2)
                break;
            if (parts == 3 && !(vka_parse_whole_real(part[1], start) && vka_parse_whole_real(part[2], end) &&
                                *start > 0 && *start < 1 && *end > 0 && *end < 1 && *start <= *end))
                break;
            if (parts == 3 && !strncmp(part[0], "squaredcos", 10)) /* it has no ends */
                break;
            return vka_beta_from_name(part[0], kind, err);
        }
    }
    vka_fail(err, VKA_E_USAGE, "--beta does not understand '%.100s'", text);
    vka_error_why(err, "it takes auto, squaredcos_cap_v2, linear or scaled_linear; the latter two may go on with :START:END, "
                       "0 < START <= END < 1");
    vka_error_hint(err, "for example linear:0.00085:0.012");
    return VKA_E_USAGE;
}

vka_status vka_amount_parse(const char *option, const char *text, uint32_t count, bool closed, double *out, vka_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "--%s", option);
    return vka_values_parse_loop(name, text, 0, 10, count, closed, out, err);
}

vka_status vka_option_check_text(const vka_option *o, const char *value, vka_error *err)
{
    if (!vka_is_utf8(value))
        return vka_fail(err, VKA_E_USAGE, "the value of --%s is not UTF-8", o->name);
    if (o->choices)
        return check_choice(o, value, err);
    if (!*value && o->kind != VKA_OPTION_TEXT)
        return vka_fail(err, VKA_E_USAGE, "--%s wants %s that is not empty", o->name,
                        o->kind == VKA_OPTION_PATH ? "a path" : "a value");
    if (strcmp(o->name, "device") == 0 && !*value)
        return vka_fail(err, VKA_E_USAGE, "--device wants a number or a part of a name");
    if (strcmp(o->name, "beta") == 0) {
        bool is_auto;
        vka_beta_kind kind;
        double start, end;
        return vka_beta_parse(value, &is_auto, &kind, &start, &end, err);
    }
    if (strcmp(o->name, "motion-scale") == 0 || strcmp(o->name, "motion-effect") == 0)
        return vka_amount_parse(o->name, value, 0, false, NULL, err);
    if (strcmp(o->name, "cfg-frames") == 0)
        return vka_values_parse("--cfg-frames", value, 0, 1000, 0, NULL, err);
    if (strcmp(o->name, "verify") == 0) {
        size_t hex = strspn(value, "0123456789abcdefABCDEF");
        if (hex != 64 || value[hex])
            return vka_fail(err, VKA_E_USAGE, "--verify wants a SHA-256 hash, 64 hexadecimal digits");
    }
    return VKA_OK;
}

vka_status vka_option_check_int(const vka_option *o, int64_t value, vka_error *err)
{
    if ((double)value >= o->least && (double)value <= o->most)
        return VKA_OK;
    if (o->most < 1e15)
        vka_fail(err, VKA_E_USAGE, "--%s %lld is out of range", o->name, (long long)value);
    else
        vka_fail(err, VKA_E_USAGE, "--%s %lld is too small", o->name, (long long)value);
    if (o->most < 1e15)
        vka_error_why(err, "it takes whole numbers from %.0f to %.0f", o->least, o->most);
    else
        vka_error_why(err, "it takes whole numbers from %.0f on", o->least);
    return VKA_E_USAGE;
}

vka_status vka_option_check_real(const vka_option *o, double value, vka_error *err)
{
    if (value >= o->least && value <= o->most)
        return VKA_OK;
    /* %.6g prints the caller's locale's point; these limits and whole values have none but --fps 0.01 */
    vka_fail(err, VKA_E_USAGE, "--%s is out of range", o->name);
    if (o->least > 0 && o->least < 1)
        vka_error_why(err, "it takes numbers from 1/%.0f to %.0f", 1 / o->least, o->most);
    else
        vka_error_why(err, "it takes numbers from %.0f to %.0f", o->least, o->most);
    return VKA_E_USAGE;
}
