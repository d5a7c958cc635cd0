/* plan.c - a memory plan as people read it: whether it fits, what lives where, the peak, the time, and what other plans would
 * cost.  Reads the report of vka_plan; what it lacks is left out. */
#include "cli.h"

#include <string.h>

enum { LABEL = 20, COLUMN = 14 };

static double number(json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static const char *text(json_t *object, const char *name)
{
    const char *t = json_string_value(json_object_get(object, name));
    return t ? t : "?";
}

/* "1.5 GiB", or a dash for nothing; right-aligned. */
static void put_bytes(FILE *to, double bytes)
{
    char size[32];
    fprintf(to, "%*s", COLUMN, bytes > 0 ? cli_size_text(size, bytes) : "-");
}

/* "0.83 s", "12.1 s", "5 min 12 s", "2 h 05 min" */
static const char *time_text(char out[32], double s)
{
    if (s < 9.995)
        snprintf(out, 32, "%.*f s", s < 0.0995 ? 3 : 2, s);
    else if (s < 99.95)
        snprintf(out, 32, "%.1f s", s);
    else if (s < 3600)
        snprintf(out, 32, "%d min %02d s", (int)(s / 60), (int)s % 60);
    else
        snprintf(out, 32, "%.0f h %02d min", (double)(long)(s / 3600), (int)((long)(s / 60) % 60));
    return out;
}

static void put_label(FILE *to, const char *label)
{
    fprintf(to, "%-*s", LABEL, label);
}

/* ---- what lives where ---------------------------------------------------------------------------------------- */

static void put_where(FILE *to, json_t *where)
{
    static const char *const known[][2] = {
        {"text", "text encoder"}, {"vision", "image encoder"}, {"encode", "VAE encoder"}, {"hints", "hints"},
        {"unet", "UNet"},         {"hires_decode", "VAE"},     {"hires_encode", "VAE encoder"}, {"hires", "second UNet"},
        {"vae", "VAE"},           {"between", "between"}};
    enum { KNOWN = sizeof known / sizeof *known };
    static const char *const rows[][2] = {
        {"weights_bytes", "resident weights"}, {"ring_bytes", "streamed weights"}, {"activations_bytes", "activations"},
        {"clip_bytes", "clip and prompts"},    {"arguments_bytes", "arguments"},   {NULL, "device memory"},
        {"host_weights_bytes", "weights"},     {"host_skips_bytes", "skips"},      {"host_clip_bytes", "clip state"}};
    const char *stages[KNOWN][2];
    int count = 0; /* of those that this render has; the text encoder is named in any case */
    for (int s = 0; s < KNOWN; s++)
        if (json_object_get(where, known[s][0]))
            memcpy(stages[count++], known[s], sizeof known[s]);
    fputc('\n', to);
    put_label(to, "device memory");
    for (int s = 0; s < count; s++)
        fprintf(to, "%*s", COLUMN, stages[s][1]);
    fputc('\n', to);
    double host = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        double values[KNOWN], sum = 0;
        bool total = !rows[r][0];
        for (int s = 0; s < count; s++) {
            json_t *stage = json_object_get(where, stages[s][0]);
            values[s] = total ? 0 : number(stage, rows[r][0]);
            for (size_t k = 0; total && k < r; k++)
                values[s] += number(stage, rows[k][0]);
            sum += values[s];
        }
        if (!strncmp(total ? "" : rows[r][0], "host_", 5)) {
            if (sum > 0 && host == 0)
                fputs("host memory\n", to);
            host += sum;
            if (sum <= 0)
                continue;
        }
        fputs("  ", to);
        fprintf(to, "%-*s", LABEL - 2, total ? "in all" : rows[r][1]);
        for (int s = 0; s < count; s++)
            put_bytes(to, values[s]);
        fputc('\n', to);
    }
}

static const char *place(json_t *plan, const char *name)
{
    return strcmp(text(plan, name), "host") == 0 ? "in host memory" : "on the device";
}

static void put_cuts(FILE *to, json_t *plan)
{
    char size[32];
    double cut = number(plan, "segments_cut"), streamed = number(plan, "streamed_bytes_per_step"),
           parked = number(plan, "parked_bytes_per_step");
    put_label(to, "UNet");
    fprintf(to, "guidance %s, ", text(plan, "guidance"));
    if (cut > 0)
        fprintf(to, "%.0f of %.0f segments cut, into up to %.0f parts of frames and %.0f of rows\n", cut,
                number(plan, "segments"), number(plan, "frame_parts"), number(plan, "row_parts"));
    else
        fprintf(to, "%.0f segments, none cut\n", number(plan, "segments"));
    put_label(to, "");
    fprintf(to, "weights %s", text(plan, "weights"));
    if (streamed > 0)
        fprintf(to, ", %s a step%s", cli_size_text(size, streamed),
                json_is_true(json_object_get(plan, "prefetch")) ? ", ahead of the work" : "");
    fputc('\n', to);
    put_label(to, "");
    fprintf(to, "skips %s", place(plan, "skips"));
    if (parked > 0)
        fprintf(to, ", %s a step there and back", cli_size_text(size, parked));
    fprintf(to, "; clip state %s", place(plan, "clip_state"));
    if (number(plan, "windows_at_once") > 1)
        fprintf(to, "; %.0f windows at once", number(plan, "windows_at_once"));
    fputc('\n', to);
}

/* ---- other plans --------------------------------------------------------------------------------------------- */

static void put_row(FILE *to, const char *name, double device, double host, double seconds, double chosen, bool fits)
{
    char s[32];
    fputs("  ", to);
    int n = 0;
    for (const char *p = name; *p; p++, n++)
        fputc(*p == '-' ? ' ' : *p, to);
    fprintf(to, "%*s", n < 26 ? 26 - n : 1, "");
    put_bytes(to, device);
    put_bytes(to, host);
    fprintf(to, "%12s", time_text(s, seconds));
    fprintf(to, "%9.3fx%8s\n", chosen > 0 ? seconds / chosen : 1, fits ? "yes" : "no");
}

static void put_alternatives(FILE *to, json_t *report)
{
    json_t *list = json_object_get(report, "alternatives"), *memory = json_object_get(report, "memory");
    double chosen = number(json_object_get(report, "estimate"), "s_per_it");
    fprintf(to, "\n%-28s%*s%*s%12s%10s%8s\n", "plans", COLUMN, "device", COLUMN, "host", "a step", "time", "fits");
    put_row(to, "this one", number(memory, "planned_bytes"), number(memory, "host_bytes"), chosen, chosen,
            json_is_true(json_object_get(report, "fits")));
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *a = json_array_get(list, i);
        put_row(to, text(a, "name"), number(a, "planned_bytes"), number(a, "host_bytes"), number(a, "s_per_it"), chosen,
                json_is_true(json_object_get(a, "fits")));
    }
}

static void put_nearest(FILE *to, json_t *list)
{
    char size[32];
    if (json_array_size(list))
        fputs("\nwhat would fit\n", to);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *n = json_array_get(list, i);
        if (json_object_get(n, "frames"))
            fprintf(to, "  %.0f frames", number(n, "frames"));
        else if (json_object_get(n, "width"))
            fprintf(to, "  %.0f x %.0f", number(n, "width"), number(n, "height"));
        else
            fprintf(to, "  a budget of %.0f MiB", number(n, "budget_bytes") / 1048576);
        fprintf(to, ": %s\n", cli_size_text(size, number(n, "planned_bytes")));
    }
}

/* ---- the report ----------------------------------------------------------------------------------------------- */

static void put_operators(FILE *to, json_t *list)
{
    char size[32];
    fprintf(to, "\n%-28s%12s%*s%12s\n", "operators of a step", "dispatches", COLUMN, "moved", "GFLOP");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *o = json_array_get(list, i);
        fprintf(to, "  %-26s%12.0f%*s%12.2f\n", text(o, "name"), number(o, "dispatches"), COLUMN,
                cli_size_text(size, number(o, "bytes")), number(o, "flop") * 1e-9);
    }
}

void cli_print_plan(FILE *to, json_t *report)
{
    char a[32], b[32], c[32];
    json_t *clip = json_object_get(report, "clip"), *memory = json_object_get(report, "memory"),
           *peak = json_object_get(report, "peak"), *time = json_object_get(report, "estimate");
    bool fits = json_is_true(json_object_get(report, "fits"));
    put_label(to, "clip");
    fprintf(to, "%.0f x %.0f, %.0f frames, %.0f steps", number(clip, "width"), number(clip, "height"),
            number(clip, "frames"), number(clip, "steps"));
    if (number(clip, "window_frames") > 0)
        fprintf(to, ", in windows of %.0f frames", number(clip, "window_frames"));
    if (number(clip, "count") > 1)
        fprintf(to, ", %.0f clips", number(clip, "count"));
    fputc('\n', to);
    put_label(to, "fits");
    fprintf(to, "%s: %s of %s of device memory", fits ? "yes" : "no", cli_size_text(a, number(memory, "planned_bytes")),
            cli_size_text(b, number(memory, "budget_bytes")));
    if (number(memory, "host_bytes") > 0)
        fprintf(to, ", %s of %s of host memory", cli_size_text(a, number(memory, "host_bytes")),
                cli_size_text(b, number(memory, "host_budget_bytes")));
    fputc('\n', to);
    put_label(to, "peak");
    fprintf(to, "in the %s, at %s\n", text(peak, "stage"), text(peak, "node"));
    put_label(to, "time, estimated");
    fprintf(to, "%s a step, %s for decoding, %s in all\n", time_text(a, number(time, "s_per_it")),
            time_text(b, number(time, "decode_s")), time_text(c, number(time, "total_s")));
    put_cuts(to, json_object_get(report, "plan"));
    put_where(to, json_object_get(report, "where"));
    put_alternatives(to, report);
    put_nearest(to, json_object_get(report, "nearest"));
}

void cli_print_plan_verbose(FILE *to, json_t *report)
{
    cli_print_plan(to, report);
    put_operators(to, json_object_get(report, "operators"));
}
