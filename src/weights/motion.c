/* motion.c - motion modules: names, what the tensors hold, whether that fits a UNet; see motion.h.  The family, which decides the
 * noise schedule, the norm rule and more, is motion_family.c's business. */
#include "weights/motion.h"

#include "weights/file.h"
#include "weights/inspect.h"
#include "weights/json_reader.h"
#include "weights/motion_family.h"
#include "weights/names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MODULES = 64, MAX_BLOCKS = 16, MAX_FRAMES = 100000, MAX_CHANNELS = 65536 };

struct vka_motion {
    char *path, *file;
    vka_safetensors st;
    vka_weights *weights;
    vka_motion_info info;
};

/* PIA widens the UNet's first convolution: 4 latent, 4 condition and 1 mask channel. */
static bool is_pia_conv(const vka_weight *t, const char **name)
{
    static const char *const ends[] = {"conv_in.weight", "conv_in.bias"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(t->name), k = strlen(ends[i]);
        *name = ends[i];
        if (n >= k && strcmp(t->name + n - k, ends[i]) == 0 &&
            (n == k || strcmp(t->name, "module.conv_in.weight") == 0 || strcmp(t->name, "module.conv_in.bias") == 0))
            return true;
    }
    return false;
}

/* The positional tables of a module's attentions are the same sinusoid: attention 0's stands for all. */
static bool is_spare_table(const vka_safetensors *st, const char *name, int attention)
{
    char first[VKA_NAME_CAP];
    if (attention <= 0)
        return false;
    const char *at = strstr(name, "attention_blocks.");
    size_t n = at ? (size_t)(at - name) + strlen("attention_blocks.") : 0;
    const char *dot = at ? strchr(name + n, '.') : NULL;
    if (!dot)
        return false;
    snprintf(first, sizeof first, "%.*s0%s", (int)n, name, dot);
    return vka_safetensors_find(st, first) != NULL;
}

static vka_status collect(vka_weights *w, vka_motion_info *info, const vka_safetensors *st, bool *hotshot,
                          vka_error *err)
{
    char name[VKA_NAME_CAP];
    bool original = false, memory = true, pia = false;
    for (size_t i = 0; i < st->count && memory; i++) {
        const vka_weight *t = &st->tensors[i];
        const char *conv;
        int attention;
        if (vka_rename_motion(name, t->name, &attention) == VKA_NAME_KEEP) {
            *hotshot |= strstr(t->name, "positional_encoding") || strstr(t->name, "temporal_attentions.");
            original |= strstr(t->name, "temporal_transformer.") || strstr(t->name, "attention_blocks.");
            if (!is_spare_table(st, t->name, attention))
                memory = vka_weights_add(w, name, t);
        } else if (is_pia_conv(t, &conv)) {
            if (t->rank == 4 && t->dims[1] > 4 && t->dims[1] < 64) {
                pia = true;
                info->conv_in_channels = (uint32_t)t->dims[1];
            }
        }
    }
    for (size_t i = 0; i < st->count && memory && pia; i++) {
        const char *conv;
        if (is_pia_conv(&st->tensors[i], &conv))
            memory = vka_weights_add(w, conv, &st->tensors[i]);
    }
    info->is_diffusers = !original;
    return memory ? vka_weights_finish(w, err) : vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", st->path);
}

/* One slot's tensor: counts it, and takes channels and frames from its shape. */
static vka_status note_tensor(vka_motion_info *info, const vka_weight *t, const char *path, vka_error *err)
{
    const char *s, *inner;
    uint32_t block = 0, module, *modules, *channels, index;
    if ((s = vka_name_after(t->name, "down_blocks.")) || (s = vka_name_after(t->name, "up_blocks."))) {
        bool down = t->name[0] == 'd';
        s = vka_name_index_at(s, &block);
        if (block >= VKA_MAX_LEVELS)
            return vka_fail(err, VKA_E_INPUT, "'%s' has motion modules in more than %d blocks", path, VKA_MAX_LEVELS);
        modules = down ? &info->down_modules[block] : &info->up_modules[block];
        channels = down ? &info->channels[block] : &info->up_channels[block];
        if (block >= info->levels)
            info->levels = block + 1;
    } else if ((s = vka_name_after(t->name, "mid_block."))) {
        modules = &info->mid_modules;
        channels = &info->mid_channels;
    } else
        return VKA_OK; /* conv_in */
    s = s ? vka_name_after(s, "motion_modules.") : NULL;
    inner = s ? vka_name_index_at(s, &module) : NULL;
    if (!inner || module >= MAX_MODULES)
        return vka_fail(err, VKA_E_INPUT, "'%s' has more than %d motion modules in one block", path, MAX_MODULES);
    *modules = vka_max_u32(*modules, module + 1);
    if (strcmp(inner, "norm.weight") == 0) {
        uint64_t c = t->rank == 1 ? t->dims[0] : 0;
        if (c < 1 || c > MAX_CHANNELS || (*channels && *channels != c))
            return vka_fail(err, VKA_E_INPUT, "'%s': '%.160s' has an odd shape", path, t->name);
        *channels = (uint32_t)c;
    }
    if (!(s = vka_name_after(inner, "transformer_blocks.")) || !(s = vka_name_index_at(s, &index)))
        return VKA_OK;
    if (index >= MAX_BLOCKS)
        return vka_fail(err, VKA_E_INPUT, "'%s' has more than %d transformer blocks in a module", path, MAX_BLOCKS);
    info->transformer_blocks = vka_max_u32(info->transformer_blocks, index + 1);
    if (vka_name_after(s, "attn") && isdigit((unsigned char)s[4]) && (inner = vka_name_index_at(s + 4, &index))) {
        if (index < 1 || index > 2)
            return vka_fail(err, VKA_E_INPUT, "'%s' has %u attentions in a transformer block (1 or 2 are supported)",
                            path, (unsigned)index);
        info->attention_blocks = vka_max_u32(info->attention_blocks, index);
    }
    if (strcmp(s, "pos_embed.pe") == 0) {
        if (t->rank != 3 || t->dims[0] != 1 || t->dims[1] < 1 || t->dims[1] > MAX_FRAMES)
            return vka_fail(err, VKA_E_INPUT, "'%s': '%.160s' has an odd shape", path, t->name);
        uint32_t frames = (uint32_t)t->dims[1];
        info->pe_length = info->pe_length ? vka_min_u32(info->pe_length, frames) : frames;
    }
    return VKA_OK;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Calls visit for the channels of every block that has modules; false as soon as one call says so. */
static bool each_width(const vka_motion_info *i, bool (*visit)(uint32_t channels, void *user), void *user)
{
    for (uint32_t b = 0; b < i->levels; b++)
        if ((i->down_modules[b] && !visit(i->channels[b], user)) ||
            (i->up_modules[b] && !visit(i->up_channels[b], user)))
            return false;
    return !i->mid_modules || visit(i->mid_channels, user);
}
static bool fold_groups(uint32_t channels, void *user)
{
    uint32_t *g = user;
    *g = gcd(*g, channels);
    return true;
}
static bool divides(uint32_t channels, void *user)
{
    return channels % *(uint32_t *)user == 0;
}
static bool is_known(uint32_t channels, void *user)
{
    (void)user;
    return channels != 0;
}

/* Channels of the block that a tensor belongs to, and its name inside its module; NULL: not a module's. */
static const char *inside(const vka_motion_info *info, const char *name, uint32_t *channels)
{
    const char *s;
    uint32_t block, index;
    if ((s = vka_name_after(name, "mid_block.")))
        *channels = info->mid_channels;
    else if (((s = vka_name_after(name, "down_blocks.")) || (s = vka_name_after(name, "up_blocks."))) &&
             (s = vka_name_index_at(s, &block)) && block < VKA_MAX_LEVELS)
        *channels = name[0] == 'd' ? info->channels[block] : info->up_channels[block];
    s = s ? vka_name_after(s, "motion_modules.") : NULL;
    return s ? vka_name_index_at(s, &index) : NULL;
}

/* Every matrix and vector is as wide as its block; a matrix may be stored as a 1x1 convolution. */
static vka_status check_shape(const vka_motion_info *info, const vka_weight *t, const char *path, vka_error *err)
{
    static const struct {
        const char *name;
        uint32_t rows, columns; /* in channels; columns 0: a vector */
    } shapes[] = {{"norm.weight", 1, 0},        {"norm.bias", 1, 0},       {"proj_in.weight", 1, 1},
                  {"proj_in.bias", 1, 0},       {"proj_out.weight", 1, 1}, {"proj_out.bias", 1, 0},
                  {"norm1.weight", 1, 0},       {"norm1.bias", 1, 0},      {"norm2.weight", 1, 0},
                  {"norm2.bias", 1, 0},         {"norm3.weight", 1, 0},    {"norm3.bias", 1, 0},
                  {"to_q.weight", 1, 1},        {"to_k.weight", 1, 1},     {"to_v.weight", 1, 1},
                  {"to_out.0.weight", 1, 1},    {"to_out.0.bias", 1, 0},   {"ff.net.0.proj.weight", 8, 1},
                  {"ff.net.0.proj.bias", 8, 0}, {"ff.net.2.weight", 1, 4}, {"ff.net.2.bias", 1, 0}};
    uint32_t c = 0, index;
    const char *s = inside(info, t->name, &c), *r;
    if (s && (r = vka_name_after(s, "transformer_blocks.")) && (r = vka_name_index_at(r, &index)))
        s = r;
    if (s && (r = vka_name_after(s, "attn")) && (r = vka_name_index_at(r, &index)))
        s = r;
    if (s && strcmp(s, "pos_embed.pe") == 0 && t->dims[2] != c)
        return vka_fail(err, VKA_E_INPUT, "'%s': the positional table '%.160s' has %llu channels, its block %u", path,
                        t->name, (unsigned long long)t->dims[2], (unsigned)c);
    for (size_t i = 0; s && i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(s, shapes[i].name) != 0)
            continue;
        uint64_t rows = (uint64_t)c * shapes[i].rows, columns = (uint64_t)c * shapes[i].columns;
        bool right =
            columns ? t->rank >= 2 && t->dims[0] == rows && t->dims[1] == columns : t->rank == 1 && t->dims[0] == rows;
        for (uint32_t d = 2; columns && d < t->rank; d++)
            right = right && t->dims[d] == 1;
        if (right)
            return VKA_OK;
        if (columns)
            return vka_fail(err, VKA_E_INPUT, "'%s': '%.160s' should be [%llu, %llu], as its block has %u channels",
                            path, t->name, (unsigned long long)rows, (unsigned long long)columns, (unsigned)c);
        return vka_fail(err, VKA_E_INPUT, "'%s': '%.160s' should be [%llu], as its block has %u channels", path,
                        t->name, (unsigned long long)rows, (unsigned)c);
    }
    return VKA_OK;
}

vka_status vka_motion_check(const vka_motion_info *info, const vka_weights *w, const char *path, vka_error *err)
{
    uint32_t heads = info->heads, groups = info->norm_num_groups;
    for (size_t i = 0; i < vka_weights_count(w); i++) {
        vka_status s = check_shape(info, vka_weights_at(w, i), path, err);
        if (s != VKA_OK)
            return s;
    }
    if (!each_width(info, divides, &heads))
        return vka_fail(err, VKA_E_INPUT, "'%s' has channels that cannot be split in %u heads", path, (unsigned)heads);
    if (!each_width(info, divides, &groups))
        return vka_fail(err, VKA_E_INPUT, "'%s' has channels that cannot be split in %u groups", path,
                        (unsigned)groups);
    return VKA_OK;
}

vka_status vka_motion_read(vka_weights *w, vka_motion_info *info, const vka_safetensors *st, const char *hint,
                           vka_error *err)
{
    bool hotshot = false;
    *info = (vka_motion_info){.heads = 8, .norm_num_groups = 32};
    vka_status s = collect(w, info, st, &hotshot, err);
    for (size_t i = 0; s == VKA_OK && i < vka_weights_count(w); i++)
        s = note_tensor(info, vka_weights_at(w, i), st->path, err);
    if (s != VKA_OK)
        return s;
    info->slots = info->mid_modules;
    for (uint32_t b = 0; b < info->levels; b++)
        info->slots += info->down_modules[b] + info->up_modules[b];
    if (!info->slots)
        return vka_fail(err, VKA_E_INPUT, "'%s' is not a motion module: none of its %zu tensors belongs to one",
                        st->path, st->count);
    if (!each_width(info, is_known, NULL) || !info->transformer_blocks || !info->attention_blocks) {
        vka_missing missing = {0};
        vka_motion_missing(&missing, w, info);
        vka_missing_check(&missing, vka_weights_title(w), err);
        return vka_fail(err, VKA_E_INPUT, "'%s' is not a whole motion module", st->path);
    }
    each_width(info, fold_groups, &info->norm_num_groups);
    vka_motion_take_family(info, vka_motion_judge(info, hotshot, st, hint), st, hint);
    return VKA_OK;
}

static void missing_in_slot(vka_missing *m, const vka_weights *w, const vka_motion_info *info, const char *slot)
{
    static const char *const outer[] = {"norm.weight",  "norm.bias",       "proj_in.weight",
                                        "proj_in.bias", "proj_out.weight", "proj_out.bias"};
    static const char *const inner[] = {"norm3.weight",       "norm3.bias",      "ff.net.0.proj.weight",
                                        "ff.net.0.proj.bias", "ff.net.2.weight", "ff.net.2.bias"};
    static const char *const attention[] = {"to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight",
                                            "to_out.0.bias"};
    static const char *const norm[] = {"weight", "bias"};
    char name[192];
#define WANT(...)                                                                                                      \
    do {                                                                                                               \
        snprintf(name, sizeof name, __VA_ARGS__);                                                                      \
        if (!vka_weights_find(w, name))                                                                                \
            vka_missing_add(m, name);                                                                                  \
    } while (0)
    for (size_t i = 0; i < sizeof outer / sizeof *outer; i++)
        WANT("%s.%s", slot, outer[i]);
    for (unsigned t = 0; t < vka_max_u32(info->transformer_blocks, 1); t++) {
        for (unsigned a = 1; a <= vka_max_u32(info->attention_blocks, 1); a++) {
            for (size_t i = 0; i < sizeof attention / sizeof *attention; i++)
                WANT("%s.transformer_blocks.%u.attn%u.%s", slot, t, a, attention[i]);
            for (size_t i = 0; i < 2; i++)
                WANT("%s.transformer_blocks.%u.norm%u.%s", slot, t, a, norm[i]);
        }
        for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
            WANT("%s.transformer_blocks.%u.%s", slot, t, inner[i]);
        if (info->pe_length)
            WANT("%s.transformer_blocks.%u.pos_embed.pe", slot, t);
    }
#undef WANT
}

void vka_motion_missing(vka_missing *m, const vka_weights *w, const vka_motion_info *info)
{
    char slot[64];
    for (unsigned b = 0; b < info->levels; b++) {
        for (unsigned i = 0; i < info->down_modules[b]; i++) {
            snprintf(slot, sizeof slot, "down_blocks.%u.motion_modules.%u", b, i);
            missing_in_slot(m, w, info, slot);
        }
        for (unsigned i = 0; i < info->up_modules[b]; i++) {
            snprintf(slot, sizeof slot, "up_blocks.%u.motion_modules.%u", b, i);
            missing_in_slot(m, w, info, slot);
        }
    }
    for (unsigned i = 0; i < info->mid_modules; i++) {
        snprintf(slot, sizeof slot, "mid_block.motion_modules.%u", i);
        missing_in_slot(m, w, info, slot);
    }
}

/* A MotionAdapter's config.json; the tensors have been read. */
static vka_status read_adapter_config(vka_motion_info *info, const char *path, vka_error *err)
{
    json_t *json = vka_json_load(path, err);
    if (!json)
        return VKA_E_INPUT;
    vka_json_reader reader = {.object = json, .path = path, .err = err}, *r = &reader;
    char name[64] = "";
    vka_json_text(r, "_class_name", name, sizeof name);
    if (name[0] && strcmp(name, "MotionAdapter") != 0 && strcmp(name, "UNetMotionModel") != 0)
        r->status = vka_fail(err, VKA_E_INPUT, "'%s' describes a %s, not a MotionAdapter", path, name);
    uint32_t frames = info->pe_length, heads[VKA_MAX_LEVELS];
    for (uint32_t l = 0; l < info->levels; l++)
        heads[l] = info->heads;
    vka_json_uints(r, "motion_num_attention_heads", heads, info->levels, 1, 1024);
    for (uint32_t l = 1; l < info->levels; l++)
        if (heads[l] != heads[0])
            vka_json_refuse(r, "motion_num_attention_heads", "differs between levels, which is not supported");
    if (info->levels)
        info->heads = heads[0];
    vka_json_uint(r, "motion_norm_num_groups", &info->norm_num_groups, 1, MAX_CHANNELS);
    vka_json_uint(r, "motion_max_seq_length", &frames, 1, MAX_FRAMES);
    if (info->pe_length && frames != info->pe_length)
        vka_json_refuse(r, "motion_max_seq_length", "does not agree with the tensors");
    if (!info->pe_length && info->variant != VKA_MOTION_ANIMATELCM && r->status == VKA_OK)
        info->pe_length = frames; /* the table can be made: it is a plain sinusoid */
    json_decref(json);
    return r->status;
}

/* Why a readable file is no motion module. */
static vka_status refuse_kind(const vka_safetensors *st, const char *path, vka_error *err)
{
    vka_classification c;
    vka_classify(&c, st);
    if (c.kind == VKA_FILE_MOTION || c.kind == VKA_FILE_UNKNOWN)
        return VKA_OK; /* the reader says more */
    vka_fail(err, VKA_E_INPUT, "'%s' is %s, not a motion module", path, vka_file_kind_phrase(c.kind));
    if (c.kind == VKA_FILE_MOTION_LORA)
        vka_error_hint(err, "give it with --motion-lora, beside a motion module");
    else if (c.kind == VKA_FILE_LORA)
        vka_error_hint(err, "this version cannot apply LoRAs");
    else if (c.kind == VKA_FILE_CHECKPOINT)
        vka_error_hint(err, "give it with --model");
    return VKA_E_INPUT;
}

vka_status vka_motion_open(vka_motion **out, const char *path, vka_error *err)
{
    static const char *const names[] = {"diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors",
                                        "diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.bin"};
    *out = NULL;
    vka_motion *m = vka_calloc(1, sizeof *m);
    char *config = NULL, *title = NULL;
    vka_status s = VKA_OK;
    if (!m || !(m->path = vka_strdup(path)))
        goto memory;
    if (vka_path_is_dir(path)) {
        for (size_t i = 0; i < sizeof names / sizeof *names && !m->file; i++) {
            if (!(m->file = vka_path_join(path, names[i])))
                goto memory;
            if (!vka_path_exists(m->file)) {
                free(m->file);
                m->file = NULL;
            }
        }
        if (!m->file) {
            s = vka_fail(err, VKA_E_INPUT, "'%s' has no %s", path, names[0]);
            goto done;
        }
        if (!(config = vka_path_join(path, "config.json")))
            goto memory;
    } else if (!(m->file = vka_strdup(path)))
        goto memory;
    if ((s = vka_model_file_open(&m->st, m->file, err)) != VKA_OK || (s = refuse_kind(&m->st, path, err)) != VKA_OK)
        goto done;
    if (!(title = vka_asprintf("the motion module '%s'", path)) || !(m->weights = vka_weights_new(title)))
        goto memory;
    s = vka_motion_read(m->weights, &m->info, &m->st, vka_path_base(path), err);
    if (s == VKA_OK) {
        vka_missing missing = {0};
        vka_motion_missing(&missing, m->weights, &m->info);
        s = vka_missing_check(&missing, title, err);
    }
    if (s == VKA_OK && config && vka_path_exists(config)) {
        s = read_adapter_config(&m->info, config, err);
        if (s == VKA_OK) { /* its frames may tell another family */
            bool hotshot = m->info.variant == VKA_MOTION_HOTSHOT_XL;
            const char *hint = vka_path_base(path);
            vka_motion_take_family(&m->info, vka_motion_judge(&m->info, hotshot, &m->st, hint), &m->st, hint);
        }
    }
    if (s == VKA_OK)
        s = vka_motion_check(&m->info, m->weights, path, err);
    goto done;
memory:
    s = vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
done:
    free(config);
    free(title);
    if (s == VKA_OK)
        *out = m;
    else
        vka_motion_close(m);
    return s;
}

void vka_motion_close(vka_motion *m)
{
    if (!m)
        return;
    vka_weights_free(m->weights);
    vka_safetensors_close(&m->st);
    free(m->file);
    free(m->path);
    free(m);
}

const char *vka_motion_file(const vka_motion *m)
{
    return m->file;
}
void vka_motion_set_family(vka_motion *m, enum vka_motion_variant v)
{
    vka_motion_take_family(&m->info, v, &m->st, vka_path_base(m->path));
}
vka_weights *vka_motion_weights(vka_motion *m)
{
    return m->weights;
}
const vka_motion_info *vka_motion_describe(const vka_motion *m)
{
    return &m->info;
}

/* What kind of UNet a module was made for, when it is not this one. */
static vka_status misfit(const vka_motion *m, const vka_unet_config *unet, vka_error *err)
{
    const vka_motion_info *i = &m->info;
    bool xl = unet->levels == 3 && unet->channels[0] == 320 && unet->channels[1] == 640 && unet->channels[2] == 1280;
    if (vka_motion_is_sdxl(i->variant) && !xl)
        return vka_fail(err, VKA_E_INPUT, "'%s' is a motion module for SDXL (%s), which does not fit this model",
                        m->path, vka_motion_variant_name(i->variant));
    if (!vka_motion_is_sdxl(i->variant) && xl && i->levels == 4)
        return vka_fail(err, VKA_E_INPUT, "'%s' is a motion module for SD1.5 (%s), which does not fit an SDXL model",
                        m->path, vka_motion_variant_name(i->variant));
    char have[96] = "", want[96] = "";
    size_t h = 0, k = 0;
    for (uint32_t l = 0; l < i->levels && h < sizeof have - 12; l++)
        h += (size_t)snprintf(have + h, sizeof have - h, "%s%u", l ? ", " : "",
                              (unsigned)(i->channels[l] ? i->channels[l] : i->up_channels[i->levels - 1 - l]));
    for (uint32_t l = 0; l < unet->levels && k < sizeof want - 12; l++)
        k += (size_t)snprintf(want + k, sizeof want - k, "%s%u", l ? ", " : "", (unsigned)unet->channels[l]);
    vka_fail(err, VKA_E_INPUT, "the motion module '%s' does not fit this model's UNet", m->path);
    vka_error_why(err, "it was made for channels %s; the UNet has %s", have, want);
    if (i->levels == 3 && unet->levels != 3 && !i->mid_modules)
        vka_error_hint(err, "three levels and no middle slot: it looks like a module for SDXL");
    return VKA_E_INPUT;
}

vka_status vka_motion_fits(const vka_motion *m, const vka_unet_config *unet, vka_error *err)
{
    const vka_motion_info *i = &m->info;
    uint32_t n = unet->levels;
    if (i->levels != n)
        return misfit(m, unet, err);
    for (uint32_t l = 0; l < n; l++)
        if ((i->down_modules[l] && i->channels[l] != unet->channels[l]) ||
            (i->up_modules[l] && i->up_channels[l] != unet->channels[n - 1 - l]))
            return misfit(m, unet, err);
    if (i->mid_modules && i->mid_channels != unet->channels[n - 1])
        return misfit(m, unet, err);
    for (uint32_t l = 0; l < n; l++) {
        uint32_t down = i->down_modules[l], up = i->up_modules[l], layers = unet->layers[l],
                 uplayers = unet->layers[n - 1 - l] + 1;
        if ((down && down != layers) || (up && up != uplayers)) {
            vka_fail(err, VKA_E_INPUT, "the motion module '%s' does not fit this model's UNet", m->path);
            vka_error_why(err, "it has %u and %u slots in down block %u and up block %u; the UNet has %u and %u layers",
                          (unsigned)down, (unsigned)up, (unsigned)l, (unsigned)l, (unsigned)layers, (unsigned)uplayers);
            return VKA_E_INPUT;
        }
    }
    if (i->mid_modules > 1 || (i->mid_modules && unet->mid_resnets < 2))
        return vka_fail(err, VKA_E_INPUT,
                        "the motion module '%s' has %u slots in the middle block, the UNet has room for %u", m->path,
                        (unsigned)i->mid_modules, (unsigned)(unet->mid_resnets < 2 ? 0 : 1));
    return VKA_OK;
}
