/* progress.c - progress and messages on standard error: a bar, a line per 10 %, NDJSON, or nothing. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

void cli_progress_init(struct cli_progress *p, const char *name, bool quiet)
{
    static const struct {
        const char *name;
        enum cli_form form;
    } forms[] = {{"bar", CLI_BAR}, {"plain", CLI_PLAIN}, {"json", CLI_NDJSON}, {"none", CLI_NONE}};
    *p = (struct cli_progress){.form = cli_error_is_terminal() ? CLI_BAR : CLI_PLAIN, .quiet = quiet};
    for (size_t i = 0; name && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].name, name) == 0)
            p->form = forms[i].form;
    /* NDJSON is there for programs, who asked for it by name; -q is a person's wish. */
    if (quiet && p->form != CLI_NDJSON)
        p->form = CLI_NONE;
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%*s\r", p->drawn, "");
    p->shown = false;
}

/* "0:07", "1:02:33". */
static const char *clock_text(char out[32], double seconds)
{
    unsigned long s = seconds > 1e8 ? 100000000ul : (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%lu:%02lu", s / 60, s % 60);
    return out;
}

/* "12/25, 1.32 s/it, ETA 0:17, VRAM 2.1 GiB (peak 2.3 GiB)". */
static void figures(char *out, size_t size, const vka_progress *now)
{
    char a[32], b[32];
    size_t n = (size_t)snprintf(out, size, "%u/%u", now->done, now->total);
    if (now->per_item_s > 0 && n < size)
        n += (size_t)snprintf(out + n, size - n, ", %.*f s/it", now->per_item_s < 0.0995 ? 3 : 2, now->per_item_s);
    if (now->eta_s >= 0 && n < size)
        n += (size_t)snprintf(out + n, size - n, ", ETA %s", clock_text(a, now->eta_s));
    if (now->device_peak_bytes && n < size)
        snprintf(out + n, size - n, ", VRAM %s (peak %s)", cli_size_text(a, (double)now->device_bytes),
                 cli_size_text(b, (double)now->device_peak_bytes));
}

static void title(char *out, size_t size, const vka_progress *now)
{
    if (now->clips > 1)
        snprintf(out, size, "clip %u/%u %s", now->clip + 1, now->clips, now->stage);
    else
        snprintf(out, size, "%s", now->stage);
}

static void show_bar(struct cli_progress *p, const vka_progress *now)
{
    char name[64], text[160], line[512];
    title(name, sizeof name, now);
    figures(text, sizeof text, now);
    int columns = cli_terminal_columns() - 1;
    int width = columns - (int)strlen(text) - 14; /* name (10) and brackets */
    width = width > 40 ? 40 : width;
    char bar[48] = "";
    if (width >= 5) {
        int filled = now->total ? (int)((double)width * now->done / now->total) : 0;
        bar[0] = '[';
        memset(bar + 1, '=', (size_t)filled);
        memset(bar + 1 + filled, ' ', (size_t)(width - filled));
        if (filled < width)
            bar[1 + filled] = '>';
        memcpy(bar + 1 + width, "] ", 3);
    }
    int n = snprintf(line, sizeof line, "%-10s %s%s", name, bar, text);
    n = n > columns ? columns : n;
    fprintf(stderr, "\r%.*s%*s", n, line, p->shown && p->drawn > n ? p->drawn - n : 0, "");
    fflush(stderr);
    p->drawn = n;
    p->shown = true;
}

static void show_plain(struct cli_progress *p, const vka_progress *now, bool fresh)
{
    unsigned tenth = now->total ? (unsigned)((unsigned long long)now->done * 10 / now->total) : 0;
    if (!now->done || (!fresh && tenth <= p->tenth)) {
        p->tenth = fresh ? 0 : p->tenth;
        return;
    }
    char name[64], text[160];
    title(name, sizeof name, now);
    figures(text, sizeof text, now);
    unsigned percent = now->total ? (unsigned)((unsigned long long)now->done * 100 / now->total) : 0;
    fprintf(stderr, "vkanim: %s %u %%: %s\n", name, percent, text);
    p->tenth = tenth;
}

static void put_event(json_t *event)
{
    char *line = event ? json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (line)
        fprintf(stderr, "%s\n", line);
    free(line);
    json_decref(event);
}

void cli_progress_show(struct cli_progress *p, const vka_progress *now)
{
    if (p->form == CLI_NONE || !now->stage)
        return;
    bool fresh = strcmp(p->stage, now->stage) != 0 || p->clip != now->clip;
    if (fresh) {
        snprintf(p->stage, sizeof p->stage, "%s", now->stage);
        p->clip = now->clip;
        p->tenth = 0;
    }
    if (p->form == CLI_BAR) {
        if (fresh)
            cli_progress_end(p);
        show_bar(p, now);
    } else if (p->form == CLI_PLAIN)
        show_plain(p, now, fresh);
    else {
        json_t *eta = now->eta_s >= 0 ? json_real(now->eta_s) : json_null();
        json_t *rate = now->per_item_s > 0 ? json_real(now->per_item_s) : json_null();
        put_event(json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:f,s:o,s:o,s:I,s:I}", "event", "progress", "stage", now->stage,
                            "clip", (int)now->clip, "clips", (int)now->clips, "step", (int)now->done, "total",
                            (int)now->total, "elapsed_s", now->elapsed_s, "s_per_it", rate, "eta_s", eta, "vram_bytes",
                            (json_int_t)now->device_bytes, "vram_peak_bytes", (json_int_t)now->device_peak_bytes));
    }
}

void cli_progress_done(const struct cli_progress *p, json_t *report)
{
    json_t *seed = json_object_get(json_object_get(report, "settings"), "seed"),
           *outputs = json_object_get(report, "outputs");
    if (p->form == CLI_NDJSON)
        put_event(json_pack("{s:s,s:O*,s:O*}", "event", "done", "seed", seed, "outputs", outputs));
}

void cli_progress_log(struct cli_progress *p, vka_level level, const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    unsigned at = (unsigned)level < 4 ? (unsigned)level : 3;
    if (p->form == CLI_NDJSON) {
        put_event(json_pack("{s:s,s:s,s:s%}", "event", "message", "level", names[at], "text", text, strlen(text)));
        return;
    }
    cli_progress_end(p);
    fprintf(stderr, "vkanim: %s%s%s\n", at <= 1 ? names[at] : "", at <= 1 ? ": " : "", text);
}
