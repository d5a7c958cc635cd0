/* view.c - see view.h.  Nothing here trusts a value's kind: what is not what it should be reads as NaN or NULL. */
#include "report/view.h"

#include "base/number.h"

#include <math.h>
#include <string.h>

const json_t *bench_at(const json_t *object, const char *path)
{
    while (object) {
        const char *dot = strchr(path, '.');
        if (!dot)
            return json_object_get(object, path);
        char key[64];
        size_t n = (size_t)(dot - path);
        if (n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        object = json_object_get(object, key);
        path = dot + 1;
    }
    return NULL;
}

double bench_number(const json_t *object, const char *path)
{
    const json_t *v = bench_at(object, path);
    double d = json_is_number(v) ? json_number_value(v) : (double)NAN;
    return isfinite(d) ? d : (double)NAN;
}

const char *bench_string(const json_t *object, const char *path)
{
    const char *s = json_string_value(bench_at(object, path));
    return s && *s ? s : NULL;
}

const char *bench_string_or(const json_t *object, const char *path)
{
    const char *s = bench_string(object, path);
    return s ? s : "not known";
}

vka_status bench_check_results(const json_t *results, const char *name, vka_error *err)
{
    const json_t *schema = json_object_get(results, "schema");
    if (!json_is_object(results) || !json_is_integer(schema))
        return vka_fail(err, VKA_E_INPUT, "'%s' is not a result of vkanim bench", name);
    if (json_integer_value(schema) != BENCH_SCHEMA) {
        vka_fail(err, VKA_E_INPUT, "'%s' is a bench result of schema %lld, and this program reads schema %d", name,
                 (long long)json_integer_value(schema), BENCH_SCHEMA);
        vka_error_hint(err, "measure again, or use the version of vkanim that wrote it");
        return VKA_E_INPUT;
    }
    if (!json_is_object(json_object_get(results, "device")))
        return vka_fail(err, VKA_E_INPUT, "'%s' does not say which device it was measured on", name);
    const json_t *rows = json_object_get(results, "rows");
    if (!json_is_array(rows))
        return vka_fail(err, VKA_E_INPUT, "'%s' has no rows", name);
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!json_is_object(json_array_get(rows, i)))
            return vka_fail(err, VKA_E_INPUT, "'%s': row %zu is not an object", name, i + 1);
    return VKA_OK;
}

const json_t *bench_row(const json_t *results, size_t i)
{
    const json_t *row = json_array_get(json_object_get(results, "rows"), i);
    return json_is_object(row) ? row : NULL;
}

size_t bench_row_count(const json_t *results)
{
    return json_array_size(json_object_get(results, "rows"));
}

const char *bench_void_reason(const json_t *row)
{
    const json_t *v = json_object_get(row, "void");
    if (v && !json_is_null(v) && !json_is_false(v))
        return json_is_string(v) && *json_string_value(v) ? json_string_value(v) : "no reason given";
    return json_is_false(bench_at(row, "check.passed")) ? "its check failed" : NULL;
}

const char *bench_void_word(const json_t *row)
{
    return json_is_true(json_object_get(row, "skipped")) ? "skipped" : "void";
}

const char *bench_row_path(const json_t *results, const json_t *row)
{
    const char *s = bench_string(row, "path");
    s = s ? s : bench_string(results, "device.path");
    return s ? s : "";
}

const char *bench_row_precision(const json_t *results, const json_t *row)
{
    const char *s = bench_string(row, "precision");
    s = s ? s : bench_string(results, "settings.precision");
    return s ? s : "";
}

/* Whether a prediction is of that row: of its name, and of its level if it says one. */
static bool is_about(const json_t *prediction, const json_t *row)
{
    const char *name = bench_string(prediction, "name"), *level = bench_string(prediction, "level");
    const char *row_name = bench_string(row, "name"), *row_level = bench_string(row, "level");
    return name && row_name && strcmp(name, row_name) == 0 && (!level || (row_level && strcmp(level, row_level) == 0));
}

double bench_row_predicted(const json_t *results, const json_t *row)
{
    double ms = bench_number(row, "predicted_ms");
    const json_t *predictions = json_object_get(results, "predictions");
    for (size_t i = 0; isnan(ms) && row && i < json_array_size(predictions); i++)
        if (is_about(json_array_get(predictions, i), row))
            ms = bench_number(json_array_get(predictions, i), "predicted_ms");
    return ms > 0 ? ms : (double)NAN;
}

size_t bench_prediction_count(const json_t *results)
{
    return json_array_size(json_object_get(results, "predictions"));
}

const json_t *bench_prediction_open(const json_t *results, size_t i)
{
    const json_t *one = json_array_get(json_object_get(results, "predictions"), i);
    if (!bench_string(one, "name"))
        return NULL;
    for (size_t r = 0; r < bench_row_count(results); r++)
        if (is_about(one, bench_row(results, r)))
            return NULL;
    return one;
}

const json_t *bench_comparison(const json_t *results)
{
    const json_t *verdict = json_object_get(results, "comparison");
    return json_is_array(json_object_get(verdict, "rows")) ? verdict : NULL;
}

size_t bench_verdict_count(const json_t *verdict)
{
    return json_array_size(json_object_get(verdict, "rows"));
}

const json_t *bench_verdict_row(const json_t *verdict, size_t i)
{
    const json_t *row = json_array_get(json_object_get(verdict, "rows"), i);
    const char *status = bench_string(row, "status");
    return status && strcmp(status, "same") != 0 ? row : NULL;
}

bool bench_clip_size(const json_t *object, double size[3])
{
    static const char *const keys[] = {"width", "height", "frames"};
    const json_t *from = json_is_object(json_object_get(object, "shape")) ? json_object_get(object, "shape") : object;
    for (size_t i = 0; i < 3; i++) {
        size[i] = bench_number(from, keys[i]);
        if (!(size[i] >= 1 && size[i] <= 1e6))
            return false;
    }
    return true;
}

void bench_text_digits(char out[BENCH_TEXT], double v, int significant)
{
    if (!isfinite(v))
        strcpy(out, "-");
    else if (v == 0)
        strcpy(out, "0");
    else if (fabs(v) >= 1e9 || fabs(v) < 1e-4)
        vka_format_real(out, BENCH_TEXT, v, 'e', significant - 1);
    else {
        int decimals = significant - 1 - (int)floor(log10(fabs(v)));
        vka_format_real(out, BENCH_TEXT, v, 'f', decimals > 0 ? decimals : 0);
    }
}

void bench_text_exact(char out[BENCH_TEXT], double v)
{
    out[0] = '\0';
    if (!isfinite(v))
        return;
    if (fabs(v) < 9e15 && v == floor(v)) {
        vka_format_real(out, BENCH_TEXT, v, 'f', 0);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        char *end;
        vka_format_real(out, BENCH_TEXT, v, 'g', digits);
        if (vka_parse_real(out, &end) == v)
            return;
    }
}

void bench_text_share(char out[BENCH_TEXT], double v)
{
    if (!isfinite(v) || fabs(v) > 1e6) {
        strcpy(out, "-");
        return;
    }
    vka_format_real(out, BENCH_TEXT - 2, v * 100, 'f', 1);
    strcat(out, " %");
}

void bench_text_bytes(char out[BENCH_TEXT], double v)
{
    static const char *const units[] = {" bytes", " KiB", " MiB", " GiB", " TiB"};
    size_t u = 0;
    if (!(v >= 0 && v < 1e18)) {
        strcpy(out, "-");
        return;
    }
    for (; v >= 1024 && u < 4; u++)
        v /= 1024;
    vka_format_real(out, BENCH_TEXT - 8, v, 'f', u == 0 ? 0 : u < 3 ? 1 : 2);
    strcat(out, units[u]);
}

void bench_text_s_per_it(char out[2 * BENCH_TEXT], const json_t *row)
{
    double s = bench_number(row, "s_per_it"), low = bench_number(row, "ms.min"), high = bench_number(row, "ms.max");
    char text[BENCH_TEXT];
    bench_text_digits(out, s, 4);
    /* The range is of the same thing only where it holds the middle. */
    if (s > 0 && low > 0 && low * 1e-3 <= s * 1.001 && high * 1e-3 >= s * 0.999) {
        bench_text_digits(text, low * 1e-3, 4);
        strcat(strcat(out, " ("), text);
        bench_text_digits(text, high * 1e-3, 4);
        strcat(strcat(strcat(out, " to "), text), ")");
    }
}

void bench_copy(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n >= size)
        for (n = size - 1; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
            ;
    memcpy(out, text, n);
    out[n] = '\0';
}

static unsigned char visible(char c)
{
    return (unsigned char)c < 32 || c == 127 ? ' ' : (unsigned char)c;
}

void bench_put_plain(FILE *to, const char *text)
{
    for (; *text; text++)
        putc(visible(*text), to);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

void bench_put_markdown(FILE *to, const char *text)
{
    for (const char *p = text; *p; p++) {
        bool inside = p > text && is_alnum(p[-1]) && is_alnum(p[1]); /* a_b is no emphasis */
        if (strchr("\\`*[]<|~&", *p) || (*p == '_' && !inside))
            putc('\\', to);
        putc(visible(*p), to);
    }
}

void bench_put_html(FILE *to, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", to);
            break;
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        case '\'':
            fputs("&#39;", to);
            break;
        default:
            putc(visible(*text), to);
        }
}

void bench_put_csv(FILE *to, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, to);
        return;
    }
    putc('"', to);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', to);
        putc(*text, to);
    }
    putc('"', to);
}

vka_status bench_finish(FILE *to, vka_error *err)
{
    if (fflush(to) != 0 || ferror(to))
        return vka_fail(err, VKA_E_OUTPUT, "the report could not be written");
    return VKA_OK;
}
