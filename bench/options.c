/* options.c - see options.h.  One static table makes the parsing, --help and the manual page; conventions are vkanim's own:
 * --name VALUE, --name=VALUE, -x VALUE. */
#include "options.h"

#include "base/file.h"
#include "base/number.h"

#include <stdlib.h>
#include <string.h>

enum kind { FLAG, TEXT, COUNT, SECONDS, BYTES, CHOICE };

struct option {
    const char *name;
    char letter;
    enum kind kind;
    const char *value; /* what --help calls it; for CHOICE the values, with bars between */
    size_t offset;     /* in struct bench_options; of what needs more than a plain store: unused */
    const char *help;
};

#define AT(field) offsetof(struct bench_options, field)

static const struct option options[] = {
    {"level", 0, CHOICE, "op|stage|clip|all", 0, "measure single operators, networks, whole clips, or everything"},
    {"filter", 0, TEXT, "TEXT", AT(filter), "only rows whose operator or name contains TEXT"},
    {"model", 0, CHOICE, "sd15|miniature", AT(model),
     "networks of these sizes, random weights (sd15; miniature on a software device)"},
    {"width", 'W', COUNT, "PIXELS", AT(width), "of the clip whose operators are measured"},
    {"height", 'H', COUNT, "PIXELS", AT(height), "its height"},
    {"frames", 'f', COUNT, "COUNT", AT(frames), "how many frames it has"},
    {"grid", 0, TEXT, "LIST", 0, "clips of the clip level, as 256x256x16,512x512x16"},
    {"precision", 0, CHOICE, "f16|f32", AT(precision), "what networks store"},
    {"device", 'd', TEXT, "DEVICE", AT(device), "by number or name, as vkanim devices prints them"},
    {"path", 0, CHOICE, "auto|fp32|fp16|khr|nv2", AT(path), "kernels to take"},
    {"vram", 0, BYTES, "SIZE", AT(vram), "memory budget, e.g. 6G"},
    {"samples", 0, COUNT, "COUNT", AT(samples), "measurements of each row (10)"},
    {"seconds", 0, SECONDS, "SECONDS", AT(seconds),
     "time for each row; what cannot be measured in it is skipped (5; 20 on a software device)"},
    {"probes", 0, FLAG, NULL, AT(probes), "only what the device's roof is"},
    {"tune", 0, FLAG, NULL, AT(tune), "choose tiles for this device first"},
    {"quick", 0, FLAG, NULL, AT(quick), "fewer samples and sizes"},
    {"predict", 0, FLAG, NULL, AT(predict), "no device: what each row would take on the roof given with --roof"},
    {"roof", 0, TEXT, "TFLOPS,GBPS", 0, "matrix peak and memory bandwidth for --predict"},
    {"format", 0, CHOICE, "md|csv|json|jsonl", AT(format), "of standard output"},
    {"json", 0, FLAG, NULL, 0, "the same as --format json"},
    {"output", 'o', TEXT, "FILE", 0, "write results, format by suffix; may be given again"},
    {"html", 0, TEXT, "FILE", AT(html), "write one page with charts"},
    {"baseline", 0, TEXT, "FILE", AT(baseline),
     "compare with earlier results; a real regression ends with exit code 9"},
    {"compare", 0, FLAG, NULL, AT(comparing), "measure nothing: put the result FILEs that follow beside each other"},
    {"results-table", 0, TEXT, "FOLDER", AT(results_table), "measure nothing: the table of all results in FOLDER..."},
    {"readme", 0, TEXT, "FILE", AT(readme), "...put into FILE, between its two marks"},
    {"quiet", 'q', FLAG, NULL, AT(quiet), "no progress"},
    {"verbose", 'v', FLAG, NULL, 0, "more on standard error"},
    {"help", 'h', FLAG, NULL, AT(help), "this text"},
    {"version", 0, FLAG, NULL, AT(version), "the version and what it was built from"},
};
enum { OPTIONS = sizeof options / sizeof *options };

void bench_options_help(FILE *to)
{
    fprintf(to, "Usage: vkanim-bench [OPTION]...\n"
                "       vkanim-bench --compare FILE... [--html FILE]\n"
                "Measures vkanim on a device with random weights, against the device's own roof.\n\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : " ", o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->value ? " " : "", o->value ? o->value : "");
        if (strlen(left) > 28)
            fprintf(to, "  %s\n  %-28s  %s\n", left, "", o->help);
        else
            fprintf(to, "  %-28s  %s\n", left, o->help);
    }
    fprintf(to, "\nStandard output carries results only.  Exit codes are vkanim's; 8: an operator check failed,\n"
                "9: --baseline found a regression.\n");
}

/* Text with roff's own characters made harmless; a dot at the start of a line would begin a request. */
static void put_roff(FILE *to, const char *text)
{
    if (*text == '.')
        fputs("\\&", to);
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            fputs(*text == '-' ? "\\-" : "\\e", to);
        else
            fputc(*text, to);
    }
}

void bench_options_man(FILE *to)
{
    fputs(".TH VKANIM\\-BENCH 1\n.SH NAME\nvkanim\\-bench \\- measure AnimateDiff in Vulkan compute shaders\n"
          ".SH SYNOPSIS\n.B vkanim bench\n.RI [ OPTION ]...\n.br\n.B vkanim bench \\-\\-compare\n"
          ".IR FILE ...\n.RB [ \\-\\-html\n.IR FILE ]\n"
          ".SH DESCRIPTION\nMeasures single operators, networks and whole clips on a device, with random weights: no model\n"
          "files are needed. Each is held against the highest rate that any probe reached on the same device in the same run.\n"
          ".PP\n.B vkanim bench\nruns this program; its name alone does the same.\nStandard output carries results only.\n"
          ".SH OPTIONS\n", to);
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &options[i];
        fputs(".TP\n", to);
        if (o->letter)
            fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", to);
        put_roff(to, o->name);
        fputs("\\fR", to);
        if (o->value) {
            fputs(" \\fI", to);
            put_roff(to, o->value);
            fputs("\\fR", to);
        }
        fputc('\n', to);
        put_roff(to, o->help);
        fputc('\n', to);
    }
    fputs(".SH EXIT STATUS\nThose of\n.BR vkanim (1);\n8 when an operator check failed, 9 when "
          "\\fB\\-\\-baseline\\fR found a regression.\n"
          ".SH EXAMPLES\nIs a change slower?  Both on the same machine, within the hour:\n.PP\n.EX\n"
          "vkanim bench \\-o before.json\nvkanim bench \\-o after.json \\-\\-baseline before.json\n.EE\n"
          ".SH SEE ALSO\n.BR vkanim (1)\n", to);
}

const char *bench_format_of(const char *path)
{
    static const char *const formats[] = {"md", "csv", "json", "jsonl"};
    const char *suffix = vka_path_extension(path);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (suffix[0] == '.' && strcmp(suffix + 1, formats[i]) == 0)
            return formats[i];
    return NULL;
}

static bool parse_count(const char *text, uint32_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long long v = strtoull(text, &end, 10);
    if (*end || v == 0 || v > 1u << 20)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool parse_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    double v = vka_parse_real(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end == text || !(v > 0) || (*end && (!unit || end[1])))
        return false;
    for (const char *u = units; unit && u <= unit; u++)
        v *= 1024;
    if (v >= 9e18)
        return false;
    *out = (uint64_t)v;
    return true;
}

vka_status bench_grid_parse(struct bench_options *o, const char *text, vka_error *err)
{
    o->grid_count = 0;
    for (const char *p = text; *p;) {
        uint32_t v[3] = {0};
        bool good = true;
        for (int i = 0; good && i < 3; i++) {
            uint64_t n = 0;
            good = *p >= '0' && *p <= '9';
            for (; *p >= '0' && *p <= '9' && n < 1u << 20; p++)
                n = n * 10 + (uint64_t)(*p - '0');
            good = good && n > 0 && n < 1u << 16 && (i == 2 || *p == 'x');
            v[i] = (uint32_t)n;
            p += good && i < 2;
        }
        if (!good || (*p && (*p != ',' || !p[1])) || o->grid_count == BENCH_GRID)
            return vka_fail(err, VKA_E_USAGE, "--grid '%.100s' is no list of at most %d sizes WIDTHxHEIGHTxFRAMES",
                            text, BENCH_GRID);
        o->grid[o->grid_count++] = (struct bench_clip_size){v[0], v[1], v[2]};
        p += *p == ',';
    }
    return o->grid_count ? VKA_OK : vka_fail(err, VKA_E_USAGE, "--grid wants sizes such as 512x512x16");
}

static bool has_choice(const char *list, const char *value)
{
    size_t length = strlen(value);
    for (const char *p = list; *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == length && memcmp(p, value, length) == 0)
            return true;
    return false;
}

/* What is no plain store. */
static vka_status take_special(struct bench_options *o, const struct option *d, const char *value, vka_error *err)
{
    if (strcmp(d->name, "level") == 0)
        o->level = strcmp(value, "op") == 0      ? BENCH_LEVEL_OP
                   : strcmp(value, "stage") == 0 ? BENCH_LEVEL_STAGE
                   : strcmp(value, "clip") == 0  ? BENCH_LEVEL_CLIP
                                                 : BENCH_LEVEL_OP | BENCH_LEVEL_STAGE | BENCH_LEVEL_CLIP;
    else if (strcmp(d->name, "grid") == 0)
        return bench_grid_parse(o, value, err);
    else if (strcmp(d->name, "json") == 0)
        o->format = "json";
    else if (strcmp(d->name, "verbose") == 0)
        o->verbose++;
    else if (strcmp(d->name, "output") == 0) {
        if (o->output_count == BENCH_OUTPUTS)
            return vka_fail(err, VKA_E_USAGE, "more than %d outputs", BENCH_OUTPUTS);
        if (!bench_format_of(value))
            return vka_fail(err, VKA_E_USAGE, "the output '%.200s' should end in .md, .csv, .json or .jsonl", value);
        o->output[o->output_count++] = value;
    } else if (strcmp(d->name, "roof") == 0) {
        char *end;
        o->roof_tflops = vka_parse_real(value, &end);
        if (end == value || *end != ',')
            return vka_fail(err, VKA_E_USAGE, "--roof wants two numbers, TFLOPS,GBPS");
        const char *second = end + 1;
        o->roof_gbps = vka_parse_real(second, &end);
        if (end == second || *end || !(o->roof_tflops > 0) || !(o->roof_gbps > 0))
            return vka_fail(err, VKA_E_USAGE, "--roof wants two positive numbers, TFLOPS,GBPS");
    }
    return VKA_OK;
}

static vka_status take(struct bench_options *o, const struct option *d, const char *value, vka_error *err)
{
    char *field = (char *)o + d->offset, *end;
    if (d->kind == CHOICE && !has_choice(d->value, value))
        return vka_fail(err, VKA_E_USAGE, "--%s is one of %s, not '%.100s'", d->name, d->value, value);
    if (d->offset == 0)
        return take_special(o, d, value, err);
    switch (d->kind) {
    case FLAG:
        *(bool *)(void *)field = true;
        break;
    case TEXT:
    case CHOICE:
        *(const char **)(void *)field = value;
        break;
    case COUNT:
        if (!parse_count(value, (uint32_t *)(void *)field))
            return vka_fail(err, VKA_E_USAGE, "--%s wants a number from 1 to 1048576, not '%.100s'", d->name, value);
        break;
    case SECONDS:
        *(double *)(void *)field = vka_parse_real(value, &end);
        if (end == value || *end || !(*(double *)(void *)field > 0))
            return vka_fail(err, VKA_E_USAGE, "--%s wants a positive number of seconds, not '%.100s'", d->name, value);
        break;
    case BYTES:
        if (!parse_bytes(value, (uint64_t *)(void *)field))
            return vka_fail(err, VKA_E_USAGE, "--%s wants a size such as 6G, not '%.100s'", d->name, value);
        break;
    }
    return VKA_OK;
}

static const struct option *find(const char *word)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *d = &options[i];
        size_t length = strcspn(word + 2, "=");
        if (word[1] == '-' ? strlen(d->name) == length && memcmp(d->name, word + 2, length) == 0
                           : d->letter && word[1] == d->letter && !word[2])
            return d;
    }
    return NULL;
}

vka_status bench_options_parse(struct bench_options *o, int argc, char **argv, vka_error *err)
{
    *o = (struct bench_options){.level = BENCH_LEVEL_OP | BENCH_LEVEL_STAGE | BENCH_LEVEL_CLIP};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || !word[1]) {
            if (o->compare_count == BENCH_FILES)
                return vka_fail(err, VKA_E_USAGE, "more than %d files", BENCH_FILES);
            o->compare[o->compare_count++] = word;
            continue;
        }
        const struct option *d = find(word);
        const char *equals = word[1] == '-' ? strchr(word, '=') : NULL, *value = equals ? equals + 1 : NULL;
        if (!d)
            return vka_fail(err, VKA_E_USAGE, "unknown option '%.100s'", word);
        if (d->kind == FLAG && value)
            return vka_fail(err, VKA_E_USAGE, "--%s takes no value", d->name);
        if (d->kind != FLAG && !value && (i + 1 == argc || (argv[i + 1][0] == '-' && find(argv[i + 1]))))
            return vka_fail(err, VKA_E_USAGE, "--%s wants a value", d->name);
        if (d->kind != FLAG && !value)
            value = argv[++i];
        vka_status s = take(o, d, value, err);
        if (s != VKA_OK)
            return s;
    }
    if (o->compare_count && !o->comparing)
        return vka_fail(err, VKA_E_USAGE, "'%.100s' is no option; result files go behind --compare", o->compare[0]);
    if (o->comparing && !o->compare_count)
        return vka_fail(err, VKA_E_USAGE, "--compare wants result files");
    if (!o->results_table != !o->readme)
        return vka_fail(err, VKA_E_USAGE, "--results-table FOLDER and --readme FILE go together");
    if (o->predict && !(o->roof_tflops > 0))
        return vka_fail(err, VKA_E_USAGE, "--predict wants --roof TFLOPS,GBPS");
    if (o->samples > 256)
        return vka_fail(err, VKA_E_USAGE, "--samples: at most 256");
    return VKA_OK;
}
