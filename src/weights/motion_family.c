/* motion_family.c - which family a motion module is of, and what goes with it: noise schedule, norm rule, frames, and the
 * sampler that distilled modules were made for.  See motion.h.
 *
 * The family is judged from the levels, the channels, the middle slot, the positional table and PIA's extra convolution.
 * Two are told by what the file says of itself alone, its name or a title in its metadata: AnimateDiff-Lightning's tensors
 * look exactly like v2's, and those of LongAnimateDiff's 32-frame module like v3's.
 *
 * The numbers are those of each module's authors (training configuration or published example). */
#include "weights/motion_family.h"

#include "weights/motion.h"

#include <ctype.h>
#include <string.h>

enum { TRAINED_FRAMES = 16, LIGHTNING_STEPS = 4, STEPS_LIMIT = 1000 };

static const struct {
    const char *name;
    const char *beta_schedule;
    double beta_end;
    const char *spacing;
    bool norm_frames;
    uint32_t window;
    const char *sampler; /* NULL: any */
    uint32_t steps;
    double cfg;
    uint32_t original_steps;
} families[VKA_MOTION_VARIANTS] = {
    [VKA_MOTION_V1] = {"v1", "linear", 0.012, NULL, true, TRAINED_FRAMES, NULL, 0, 0, 0},
    [VKA_MOTION_V2] = {"v2", "linear", 0.012, NULL, false, TRAINED_FRAMES, NULL, 0, 0, 0},
    [VKA_MOTION_V3] = {"v3", "linear", 0.012, NULL, false, TRAINED_FRAMES, NULL, 0, 0, 0},
    [VKA_MOTION_ANIMATELCM] = {"animatelcm", "linear", 0.012, NULL, false, TRAINED_FRAMES, "lcm", 6, 1.5, 100},
    [VKA_MOTION_LIGHTNING] = {"lightning", "linear", 0.012, "trailing", false, TRAINED_FRAMES, "euler", LIGHTNING_STEPS,
                              1, 0},
    [VKA_MOTION_LONG] = {"long", "linear", 0.012, NULL, false, 32, NULL, 0, 0, 0},
    [VKA_MOTION_SDXL_BETA] = {"sdxl-beta", "scaled_linear", 0.020, "leading", false, TRAINED_FRAMES, NULL, 0, 0, 0},
    [VKA_MOTION_HOTSHOT_XL] = {"hotshot-xl", "scaled_linear", 0.012, NULL, true, 8, NULL, 0, 0, 0},
    [VKA_MOTION_PIA] = {"pia", "linear", 0.012, NULL, true, TRAINED_FRAMES, NULL, 0, 0, 0},
};

const char *vka_motion_variant_name(enum vka_motion_variant v)
{
    return families[v].name;
}

bool vka_motion_variant_from_name(const char *name, enum vka_motion_variant *out)
{
    for (int v = 0; v < VKA_MOTION_VARIANTS; v++)
        if (strcmp(families[v].name, name) == 0) {
            *out = (enum vka_motion_variant)v;
            return true;
        }
    return false;
}

/* Where `word` (of small letters) begins in `text`, in letters of any size; NULL: nowhere. */
static const char *find_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (; text && *text; text++) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)text[i]) == word[i])
            i++;
        if (i == n)
            return text;
    }
    return NULL;
}

/* Calls visit for what the file says of itself, its name first, until one call says true. */
static bool each_title(const vka_safetensors *st, const char *hint, bool (*visit)(const char *text, void *user),
                       void *user)
{
    static const char *const keys[] = {"modelspec.title", "title", "name", "model_name", "ss_output_name"};
    if (hint && visit(hint, user))
        return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = vka_safetensors_metadata(st, keys[i]);
        if (text && visit(text, user))
            return true;
    }
    return false;
}
static bool has_word(const char *text, void *user)
{
    return find_word(text, user) != NULL;
}
static bool says(const vka_safetensors *st, const char *hint, const char *word)
{
    return each_title(st, hint, has_word, (void *)(uintptr_t)word);
}

/* "4step", "4-step", "4_steps", "4 Step": the number. */
static bool step_count(const char *text, void *user)
{
    for (const char *at = text; (at = find_word(at, "step")); at++) {
        const char *end = at;
        uint32_t n = 0, unit = 1;
        if (end > text && strchr("-_ ", end[-1]))
            end--;
        while (end > text && isdigit((unsigned char)end[-1]) && unit <= STEPS_LIMIT) {
            n += (uint32_t)(*--end - '0') * unit;
            unit *= 10;
        }
        if (n >= 1 && n <= STEPS_LIMIT) {
            *(uint32_t *)user = n;
            return true;
        }
    }
    return false;
}

static bool is_sdxl_shape(const vka_motion_info *i)
{
    return i->levels == 3 && !i->mid_modules && i->channels[0] == 320 && i->channels[1] == 640 &&
           i->channels[2] == 1280;
}

enum vka_motion_variant vka_motion_judge(const vka_motion_info *i, bool hotshot, const vka_safetensors *st,
                                         const char *hint)
{
    if (i->conv_in_channels)
        return VKA_MOTION_PIA;
    if (hotshot || (is_sdxl_shape(i) && i->pe_length == 24))
        return VKA_MOTION_HOTSHOT_XL;
    if (is_sdxl_shape(i))
        return VKA_MOTION_SDXL_BETA;
    if (i->mid_modules && says(st, hint, "lightning"))
        return VKA_MOTION_LIGHTNING;
    if (i->mid_modules && i->pe_length == 0 && !i->is_diffusers)
        return VKA_MOTION_ANIMATELCM;
    if (i->mid_modules && says(st, hint, "animatelcm"))
        return VKA_MOTION_ANIMATELCM;
    if (i->pe_length > 32 || says(st, hint, "longanimatediff") || says(st, hint, "lt_long"))
        return VKA_MOTION_LONG;
    if (i->mid_modules)
        return VKA_MOTION_V2;
    return i->pe_length == 24 ? VKA_MOTION_V1 : VKA_MOTION_V3;
}

/* ---- what goes with a family ------------------------------------------------------------------------------- */

/* Names of published files, as people keep them, by a part of them; the first that fits. */
static const struct {
    const char *word;
    enum vka_motion_variant variant;
    const char *published;
} published[] = {
    {"temporaldiff", VKA_MOTION_V1, "temporaldiff-v1"},
    {"stabilized_mid", VKA_MOTION_V1, "mm-Stabilized_mid"},
    {"stabilized_high", VKA_MOTION_V1, "mm-Stabilized_high"},
    {"sd_v14", VKA_MOTION_V1, "mm_sd_v14"},
    {"sd14_v1", VKA_MOTION_V1, "mm_sd_v14"},
    {"sd_v15", VKA_MOTION_V1, "mm_sd_v15"},
    {"sd15_v1", VKA_MOTION_V1, "mm_sd_v15"},
    {"p_0.5", VKA_MOTION_V2, "mm-p_0.5"},
    {"p_0.75", VKA_MOTION_V2, "mm-p_0.75"},
    {"sd_v15_v2", VKA_MOTION_V2, "mm_sd_v15_v2"},
    {"sd15_v2", VKA_MOTION_V2, "mm_sd_v15_v2"},
    {"v3_sd15", VKA_MOTION_V3, "v3_sd15_mm"},
    {"sd15_v3", VKA_MOTION_V3, "v3_sd15_mm"},
    {"animatelcm", VKA_MOTION_ANIMATELCM, "AnimateLCM_sd15_t2v"},
    {"lightning_1step", VKA_MOTION_LIGHTNING, "animatediff_lightning_1step"},
    {"lightning_2step", VKA_MOTION_LIGHTNING, "animatediff_lightning_2step"},
    {"lightning_4step", VKA_MOTION_LIGHTNING, "animatediff_lightning_4step"},
    {"lightning_8step", VKA_MOTION_LIGHTNING, "animatediff_lightning_8step"},
    {"64_frames", VKA_MOTION_LONG, "lt_long_mm_16_64_frames"},
    {"32_frames", VKA_MOTION_LONG, "lt_long_mm_32_frames"},
    {"sdxl_v10_beta", VKA_MOTION_SDXL_BETA, "mm_sdxl_v10_beta"},
    {"hsxl", VKA_MOTION_HOTSHOT_XL, "hsxl_temporal_layers"},
    {"sdxl_hs", VKA_MOTION_HOTSHOT_XL, "hsxl_temporal_layers"},
    {"pia", VKA_MOTION_PIA, "pia"},
};

void vka_motion_take_family(vka_motion_info *info, enum vka_motion_variant v, const vka_safetensors *st,
                            const char *hint)
{
    bool picture = false; /* AnimateLCM-I2V's encoder of a first picture */
    for (size_t i = 0; !picture && i < st->count; i++)
        picture = strstr(st->tensors[i].name, "img_encoder.") != NULL;
    info->variant = v;
    info->beta_schedule = families[v].beta_schedule;
    info->beta_start = 0.00085;
    info->beta_end = families[v].beta_end;
    info->timestep_spacing = families[v].spacing;
    info->norm_frames_resnet = families[v].norm_frames;
    info->window = families[v].window;
    info->sampler = families[v].sampler;
    info->steps = families[v].steps;
    info->cfg = families[v].cfg;
    info->original_steps = families[v].original_steps;
    info->needs_picture = v == VKA_MOTION_PIA || (v == VKA_MOTION_ANIMATELCM && picture);
    info->published = NULL;
    if (v == VKA_MOTION_ANIMATELCM && picture) { /* trained anew, with a wider schedule */
        info->beta_end = 0.014;
        info->original_steps = 200;
    }
    if (v == VKA_MOTION_LONG && info->pe_length > info->window)
        info->window = info->pe_length;
    if (info->pe_length)
        info->window = info->window < info->pe_length ? info->window : info->pe_length;
    if (v == VKA_MOTION_LIGHTNING)
        each_title(st, hint, step_count, &info->steps);
    for (size_t i = 0; i < sizeof published / sizeof *published && !info->published; i++)
        if (published[i].variant == v && says(st, hint, published[i].word) && !(v == VKA_MOTION_ANIMATELCM && picture))
            info->published = published[i].published;
}

const char *vka_motion_published_by_hash(const char *sha256)
{
    static const struct {
        const char *begins, *name;
    } known[] = {
        {"aa7fd8a2", "mm_sd_v14"}, {"cf16ea65", "mm_sd_v15"}, {"69ed0f5f", "mm_sd_v15_v2"}, {"24127118", "v3_sd15_mm"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(sha256, known[i].begins, 8) == 0)
            return known[i].name;
    return NULL;
}
