/* options.c - the one option table, and values as text: parsing, ranges, choices.
 *
 * The command line, --job files, the settings inside animations, --help, the manual page and the shells' completions
 * all come from `table`.  A row's order here is its order in --help; its place is its bit in vka_job.set. */
#include "render/options.h"

#include "base/number.h"
#include "render/job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENDER (VKA_FOR_RENDER | VKA_FOR_PLAN)
#define NET    VKA_FOR_NET
#define RESUME VKA_FOR_RESUME
#define EVERY  (RENDER | NET | VKA_FOR_DEVICES | VKA_FOR_INSPECT | RESUME)
#define LOCAL  VKA_MARK_LOCAL

static const char g_prompt[] = "What to draw", g_models[] = "Models", g_clip[] = "The clip", g_sampling[] = "Sampling",
                  g_output[] = "Output", g_device[] = "Device", g_tensors[] = "Tensors in and out", g_job[] = "Jobs",
                  g_messages[] = "Messages";

/* name, letter, kind, value, default, choices, least, most, commands, group, help, marks */
static const vka_option table[] = {
    {"prompt", 'p', VKA_OPTION_TEXT, "TEXT", "", NULL, 0, 0, RENDER | NET, g_prompt, "What the animation shows.", 0},
    {"negative", 'n', VKA_OPTION_TEXT, "TEXT", "", NULL, 0, 0, RENDER, g_prompt, "What it should not show.", 0},

    {"model", 'm', VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "A diffusers folder or a checkpoint file of the Stable Diffusion 1.5 family, or its name in a model folder; "
     "without it the bundled miniature.",
     LOCAL},
    {"motion", 0, VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "The AnimateDiff motion module, or none; without it the one that the model's folder names.", LOCAL},
    {"vae", 0, VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, RENDER | NET, g_models, "A VAE in place of the model's own.",
     LOCAL},
    {"lora", 0, VKA_OPTION_LIST, "PATH[:WEIGHT]", NULL, NULL, 0, 0, RENDER | NET, g_models, "A LoRA for the model.",
     LOCAL | VKA_MARK_LATER},
    {"motion-lora", 0, VKA_OPTION_LIST, "PATH[:WEIGHT]", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "A LoRA for the motion module.", LOCAL | VKA_MARK_LATER},
    {"embedding", 0, VKA_OPTION_LIST, "PATH", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "A textual-inversion embedding.", LOCAL | VKA_MARK_LATER},
    {"motion-scale", 0, VKA_OPTION_TEXT, "SCALE", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "Scale of the motion module's temporal attention.", VKA_MARK_LATER},
    {"motion-effect", 0, VKA_OPTION_TEXT, "EFFECT", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "Weight of the motion module's output.", VKA_MARK_LATER},
    {"tokenizer", 0, VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "A folder with vocab.json and merges.txt, for checkpoint files, which do not carry them.", LOCAL},

    {"width", 'W', VKA_OPTION_INT, "PIXELS", NULL, NULL, 1, 16384, RENDER, g_clip,
     "Width, a multiple of the VAE's factor (8 in Stable Diffusion); without it what the model was made for.", 0},
    {"height", 'H', VKA_OPTION_INT, "PIXELS", NULL, NULL, 1, 16384, RENDER, g_clip, "Height, likewise.", 0},
    {"frames", 'f', VKA_OPTION_INT, "N", "16", NULL, 1, 65535, RENDER, g_clip,
     "Frames of the clip; beyond what the motion module's table holds it is made in context windows.", 0},
    {"fps", 0, VKA_OPTION_REAL, "RATE", "8", NULL, 0.01, 1000, RENDER, g_clip, "Frames per second of playback.", 0},
    {"seed", 's', VKA_OPTION_INT, "N", "-1", NULL, -1, 9223372036854775807.0, RENDER, g_clip,
     "Seed of the noise; -1 draws one and prints it.", 0},
    {"count", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 1000000, RENDER, g_clip,
     "Clips to render, with the seeds s, s+1 and so on.", LOCAL},
    {"context-length", 0, VKA_OPTION_INT, "N", NULL, NULL, 1, 65535, RENDER, g_clip,
     "Frames of a context window; without it windows come only with clips that are longer than the motion module's table, and "
     "have what the module was trained on, mostly 16.",
     0},
    {"context-stride", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 64, RENDER, g_clip,
     "Most spacings of frames in windows: every frame, every 2nd, every 4th and so on.", 0},
    {"context-overlap", 0, VKA_OPTION_INT, "N", NULL, NULL, 0, 65535, RENDER, g_clip,
     "Frames that neighbouring windows share; without it a quarter of the window.", 0},
    {"context-schedule", 0, VKA_OPTION_CHOICE, "NAME", "uniform-standard",
     "uniform-standard | uniform uniform-looped static-standard batched shuffle composite", 0, 0, RENDER, g_clip,
     "Where the windows of a step lie.", 0},
    {"context-fuse", 0, VKA_OPTION_CHOICE, "NAME", "flat",
     "flat | relative pyramid overlap-linear delayed-reverse-sawtooth gauss-sigma pyramid-sigma", 0, 0, RENDER, g_clip,
     "How what windows predict for a frame is merged.", 0},

    {"steps", 0, VKA_OPTION_INT, "N", "25", NULL, 1, 1000, RENDER, g_sampling, "Sampling steps.", 0},
    {"cfg", 0, VKA_OPTION_REAL, "SCALE", "7.5", NULL, 0, 1000, RENDER, g_sampling,
     "Guidance scale; at 1 the negative prompt is not used and a step costs half.", 0},
    {"sampler", 0, VKA_OPTION_CHOICE, "NAME", "ddim",
     "ddim euler euler-a | heun lms dpm2 dpm2-a dpmpp-2m dpmpp-2m-sde dpmpp-2s-a dpmpp-sde dpmpp-3m-sde unipc pndm "
     "deis "
     "lcm tcd ddpm",
     0, 0, RENDER, g_sampling, "Sampler.", 0},
    {"schedule", 0, VKA_OPTION_CHOICE, "NAME", "auto",
     "auto leading linspace trailing | karras exponential sgm-uniform simple normal ddim-uniform beta kl-optimal ays",
     0, 0, RENDER, g_sampling, "Where the steps lie in time; auto is what the model names.", 0},
    {"beta", 0, VKA_OPTION_TEXT, "NAME[:START:END]", "auto", NULL, 0, 0, RENDER, g_sampling,
     "Noise schedule: auto (what the motion module and the model name), linear or scaled_linear.", 0},
    {"rng", 0, VKA_OPTION_CHOICE, "NAME", "torch-cpu", "torch-cpu nv", 0, 0, RENDER, g_sampling,
     "Random numbers: those of torch on the CPU, or those of an NVIDIA card as A1111 makes them.", 0},
    {"noise-layout", 0, VKA_OPTION_CHOICE, "NAME", "5d", "5d clip frame", 0, 0, RENDER, g_sampling,
     "How noise is drawn: for the clip as diffusers does, as ComfyUI does, or by frame as A1111 does.", 0},
    {"norm", 0, VKA_OPTION_CHOICE, "NAME", "auto", "auto original diffusers", 0, 0, RENDER | NET, g_sampling,
     "What GroupNorm covers in motion modules and ResNets: as the module was trained, or as diffusers has it.", 0},
    {"precision", 0, VKA_OPTION_CHOICE, "TYPE", NULL, "f16 f32", 0, 0, RENDER | NET, g_sampling,
     "Type that the networks are stored in, sums being f32; without it f16 where the device can store that.", 0},
    {"clip-skip", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 100, RENDER | NET, g_sampling,
     "Take the text encoder's N-th layer from the end, as in A1111; 1 is the last.", 0},

    {"output", 'o', VKA_OPTION_LIST, "FILE", NULL, NULL, 0, 0, RENDER, g_output,
     "Where the clip goes, may be repeated: .webp .gif .mp4 .webm .png .apng .y4m, a folder or a %05d pattern for "
     "frames; without it vkanim-SEED.webp.",
     LOCAL},
    {"overwrite", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER | RESUME, g_output, "Replace files that exist.", LOCAL},
    {"no-overwrite", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER, g_output,
     "Never replace files; without either, a terminal is asked and anything else refused.", LOCAL},
    {"verify", 0, VKA_OPTION_TEXT, "SHA256", NULL, NULL, 0, 0, RENDER, g_output,
     "Fail unless the frames' bytes have this hash.", LOCAL},

    {"device", 'd', VKA_OPTION_TEXT, "INDEX|NAME", NULL, NULL, 0, 0, RENDER | NET | RESUME, g_device,
     "Device by its number or part of its name in 'vkanim devices'; without it the best GPU.", LOCAL},
    {"path", 0, VKA_OPTION_CHOICE, "NAME", "auto", "auto fp32 fp16 khr nv2", 0, 0, RENDER | NET, g_device,
     "Kernels to use: fp32, fp16, or with matrix units khr (of a subgroup) or nv2 (of a workgroup).", LOCAL},
    {"vram", 0, VKA_OPTION_SIZE, "SIZE", NULL, NULL, 0, 0, RENDER | NET | RESUME, g_device,
     "Hard budget of device memory, such as 6G or 512M; the picture does not depend on it.", LOCAL},
    {"device-memory", 0, VKA_OPTION_SIZE, "SIZE", NULL, NULL, 0, 0, VKA_FOR_PLAN, g_device,
     "Plan for a device with this much memory, without looking for one.", LOCAL},

    {"in", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, NET, g_tensors, "Tensors that go in.", VKA_MARK_COMMAND},
    {"out", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, NET, g_tensors, "Where the tensors that come out go.",
     VKA_MARK_COMMAND},
    {"noise", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors, "Initial noise, in place of the seed's.",
     LOCAL},
    {"step-noise", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors,
     "Noise of each step, in place of what the sampler draws.", LOCAL},
    {"embeds", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors,
     "Text embeddings, in place of the text encoder's.", LOCAL},
    {"trace", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors, "Write every step's tensors there.",
     LOCAL},

    {"job", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_job,
     "Take options from a JSON object with long names as keys; '-' is standard input.", VKA_MARK_COMMAND},
    {"from", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_job,
     "Take the settings from a rendered animation.", VKA_MARK_COMMAND},
    {"dry-run", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER, g_job,
     "Print the plan and stop, like 'vkanim plan'.", VKA_MARK_COMMAND},

    {"json", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages,
     "Print the result on standard output as one JSON object.", VKA_MARK_COMMAND},
    {"progress", 0, VKA_OPTION_CHOICE, "FORM", "auto", "auto bar plain json none", 0, 0, RENDER | NET | RESUME, g_messages,
     "Progress on standard error: auto is a bar on a terminal and plain lines elsewhere.", VKA_MARK_COMMAND},
    {"quiet", 'q', VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages, "Errors only.", VKA_MARK_COMMAND},
    {"verbose", 'v', VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages,
     "Details: kernel and stage timings, names in files that nothing uses; twice: more of them.", VKA_MARK_COMMAND},
    {"help", 'h', VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages, "Print the options and stop.",
     VKA_MARK_COMMAND},
    {"version", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages, "Print the version and stop.",
     VKA_MARK_COMMAND},
};
enum { OPTIONS = sizeof table / sizeof *table };
_Static_assert(sizeof table / sizeof *table <= (size_t)VKA_OPTION_LIMIT, "vka_job.set has one bit per option");

const vka_option *vka_options(size_t *count)
{
    if (count)
        *count = OPTIONS;
    return table;
}

const vka_option *vka_option_find(const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++)
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
    unsigned best = 3; /* two slips; a name of which only the beginning was typed counts as one */
    for (size_t i = 0; name && *name && i < OPTIONS; i++) {
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
            return vka_beta_from_name(part[0], kind, err);
        }
    }
    vka_fail(err, VKA_E_USAGE, "--beta does not understand '%.100s'", text);
    vka_error_why(err, "it takes auto, linear or scaled_linear; the latter two may go on with :START:END, 0 < START <= "
                       "END < 1");
    vka_error_hint(err, "for example linear:0.00085:0.012");
    return VKA_E_USAGE;
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
