/* inspect.c - a file's kind, family, size and faults, for `vkanim inspect`; see inspect.h. */
#include "weights/inspect.h"

#include "weights/control.h"
#include "weights/file.h"
#include "weights/ip_adapter.h"
#include "weights/lora_int.h"
#include "weights/model.h"
#include "weights/motion.h"
#include "weights/vision.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NOTES = 32 };

static void add_note(vka_inspection *x, const char *fmt, ...) VKA_PRINTF(2, 3);
static void add_note(vka_inspection *x, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!x->notes)
        x->notes = vka_arena_alloc(&x->arena, MAX_NOTES * sizeof *x->notes);
    const char *copy = x->notes && x->note_count < MAX_NOTES ? vka_arena_strdup(&x->arena, text) : NULL;
    if (copy)
        x->notes[x->note_count++] = copy;
}

/* Positional tables and position ids are buffers, not parameters. */
static bool is_parameter(const vka_weight *t)
{
    return vka_dtype_is_float(t->dtype) && !strstr(t->name, "pos_encoder.") && !strstr(t->name, "pos_embed.pe") &&
           !strstr(t->name, "position_ids");
}

static void count_tensor(vka_inspection *x, const vka_weight *t)
{
    x->tensors++;
    x->dtypes |= 1u << t->dtype;
    if (is_parameter(t) && !vka_add_u64(x->parameters, vka_weight_count(t), &x->parameters))
        x->parameters = UINT64_MAX;
}

static void note_error(vka_inspection *x, const vka_error *e)
{
    add_note(x, "%s%s%s", e->what, e->why[0] ? ": " : "", e->why);
}

static void describe_motion(vka_inspection *x, const vka_motion_info *i, const vka_weights *w)
{
    vka_missing missing = {0};
    vka_error e = {0};
    x->variant = vka_motion_variant_name(i->variant);
    x->family = vka_motion_is_sdxl(i->variant) ? "sdxl" : "sd15";
    if (i->published)
        add_note(x, "named after the published file %s", i->published);
    if (i->pe_length)
        add_note(x, "%u slots, up to %u frames at once, made for %u", (unsigned)i->slots, (unsigned)i->pe_length,
                 (unsigned)i->window);
    else
        add_note(x, "%u slots, no positional table in the file, made for %u frames", (unsigned)i->slots, (unsigned)i->window);
    add_note(x, "trained with %s betas %g to %g", i->beta_schedule, i->beta_start, i->beta_end);
    if (i->norm_frames_resnet)
        add_note(x, "trained with group norms over all frames");
    if (i->sampler)
        add_note(x, "made for %s with %u steps at a guidance of %g", i->sampler, (unsigned)i->steps, i->cfg);
    if (i->needs_picture)
        add_note(x, "made to go on from a first picture, which this version cannot give it");
    vka_motion_missing(&missing, w, i);
    if (vka_missing_check(&missing, "the module", &e) != VKA_OK)
        note_error(x, &e);
}

static void inspect_motion(vka_inspection *x, const vka_safetensors *st, const char *path)
{
    vka_motion_info info;
    vka_error e = {0};
    vka_weights *w = vka_weights_new("the module");
    if (!w)
        return;
    if (vka_motion_read(w, &info, st, vka_path_base(path), &e) == VKA_OK) {
        describe_motion(x, &info, w);
        vka_motion_check(&info, w, path, &e);
    }
    if (e.status != VKA_OK)
        note_error(x, &e);
    vka_weights_free(w);
}

static void note_lora(void *user, const char *text)
{
    add_note(user, "%s", text);
}

static void inspect_lora(vka_inspection *x, const vka_safetensors *st)
{
    vka_lora *l;
    vka_error e = {0};
    if (vka_lora_open_parsed(&l, st, &e) == VKA_OK) {
        x->variant = vka_lora_describe(l)->algorithm;
        vka_lora_notes(l, note_lora, x);
        vka_lora_close(l);
    } else
        note_error(x, &e);
}

static void describe_control(vka_inspection *x, const vka_control_info *i)
{
    x->variant = vka_control_kind_name(i->kind);
    x->family = i->unet.cross_attention_dim == 1024 ? "sd2" : "sd15";
    if (i->motion.slots && i->motion.pe_length)
        add_note(x, "%u motion modules, up to %u frames at once", (unsigned)i->motion.slots, (unsigned)i->motion.pe_length);
    else if (i->motion.slots)
        add_note(x, "%u motion modules", (unsigned)i->motion.slots);
    if (i->kind == VKA_CONTROL_SPARSE_RGB)
        add_note(x, "it takes pictures of some frames, as the VAE encodes them");
    else
        add_note(x, "it takes pictures of %s frames, %u pixels for each latent one", i->motion.slots ? "some" : "all",
                 (unsigned)i->hint_factor);
}

static void inspect_control(vka_inspection *x, const vka_safetensors *st)
{
    const char *refusal = vka_control_refusal(st);
    vka_control_info info;
    vka_error e = {0};
    vka_weights *w = refusal ? NULL : vka_weights_new("the ControlNet");
    if (refusal)
        add_note(x, "it %s", refusal);
    else if (w && vka_control_read(w, &info, st, NULL, NULL, &e) == VKA_OK)
        describe_control(x, &info);
    else
        note_error(x, &e);
    vka_weights_free(w);
}

static void inspect_ip_adapter(vka_inspection *x, const vka_safetensors *st, const char *path)
{
    vka_ip_info i;
    vka_error e = {0};
    vka_weights *w = vka_weights_new("the adapter");
    if (!w)
        return;
    if (vka_ip_adapter_read(w, &i, &x->family, st, path, &e) == VKA_OK) {
        x->variant = vka_ip_kind_name(i.kind);
        if (i.kind == VKA_IP_FULL)
            add_note(x, "as many tokens as its image encoder makes, %u wide", (unsigned)i.width);
        else
            add_note(x, "%u tokens for each picture, %u wide", (unsigned)i.tokens, (unsigned)i.width);
        add_note(x, "made for an image encoder whose %s %u wide, and a UNet of %u cross-attentions",
                 i.kind == VKA_IP_PLAIN ? "embedding is" : "layers are", (unsigned)i.takes, (unsigned)i.pairs);
        if (x->family && strcmp(x->family, "sdxl") == 0)
            add_note(x, "adapters for SDXL are not supported");
    } else
        note_error(x, &e);
    vka_weights_free(w);
}

static void note_vision(vka_inspection *x, const vka_vision_config *c)
{
    add_note(x, "pictures of %u x %u in patches of %u, %u layers of %u", (unsigned)c->image, (unsigned)c->image,
             (unsigned)c->patch, (unsigned)c->layers, (unsigned)c->hidden);
    if (c->projection)
        add_note(x, "embeddings of %u", (unsigned)c->projection);
}

static void inspect_vision(vka_inspection *x, const vka_safetensors *st, const char *path)
{
    vka_vision_config c;
    vka_error e = {0};
    vka_weights *w = vka_weights_new("the image encoder");
    if (!w)
        return;
    if (vka_vision_read(w, &c, st, NULL, path, &e) == VKA_OK)
        note_vision(x, &c);
    else
        note_error(x, &e);
    vka_weights_free(w);
}

/* Opens every part that is there, so that what is wrong with it gets a note. */
static void inspect_parts(vka_inspection *x, vka_model *m, bool count)
{
    for (int p = 0; p < VKA_PARTS; p++) {
        vka_error e = {0};
        if (!vka_model_has(m, (enum vka_part)p)) {
            if (x->kind == VKA_FILE_CHECKPOINT)
                add_note(x, "no %s", vka_part_title((enum vka_part)p));
            continue;
        }
        const vka_weights *w = vka_model_weights(m, (enum vka_part)p, &e);
        if (!w) {
            note_error(x, &e);
            continue;
        }
        add_note(x, "%s: %zu tensors", vka_part_title((enum vka_part)p), vka_weights_count(w));
        for (size_t i = 0; count && i < vka_weights_count(w); i++)
            count_tensor(x, vka_weights_at(w, i));
    }
    size_t n = 0;
    while (vka_model_stranger(m, n))
        n++;
    if (n)
        add_note(x, "tensors that belong to no known part: %zu, for example '%.160s'", n, vka_model_stranger(m, 0));
    if (vka_model_family(m))
        x->family = vka_model_family(m);
}

/* What the family means for a render, where it means that there is none. */
static void note_family(vka_inspection *x)
{
    if (x->kind != VKA_FILE_CHECKPOINT && x->kind != VKA_FILE_UNET)
        return;
    if (x->family && strcmp(x->family, "sd15-inpaint") == 0)
        add_note(x, "its UNet takes 9 channels (a mask and a masked picture too): an inpainting model cannot render "
                    "from a prompt alone");
    if (x->family && strcmp(x->family, "sd15-pix2pix") == 0)
        add_note(
            x,
            "its UNet takes 8 channels (a picture too): an instruct-pix2pix model cannot render from a prompt alone");
}

vka_status vka_inspect_parsed(vka_inspection *x, const vka_safetensors *st, const char *path, vka_error *err)
{
    vka_classification c;
    *x = (vka_inspection){0};
    vka_classify(&c, st);
    x->kind = c.kind;
    x->family = c.family;
    for (size_t i = 0; i < st->count; i++)
        count_tensor(x, &st->tensors[i]);
    if (c.note)
        add_note(x, "%s", c.note);
    if (st->is_average)
        add_note(x, "it holds only averaged (EMA) weights of the UNet, which are used");
    for (size_t i = 0; i < st->count; i++)
        if (st->tensors[i].scales) {
            add_note(x, "its fp8 weights have scales");
            break;
        }
    if (c.kind == VKA_FILE_MOTION) {
        inspect_motion(x, st, path);
    } else if (c.kind == VKA_FILE_LORA || c.kind == VKA_FILE_MOTION_LORA) {
        inspect_lora(x, st);
    } else if (c.kind == VKA_FILE_CONTROLNET) {
        inspect_control(x, st);
    } else if (c.kind == VKA_FILE_IP_ADAPTER) {
        inspect_ip_adapter(x, st, path);
    } else if (c.kind == VKA_FILE_VISION) {
        inspect_vision(x, st, path);
    } else if (c.kind == VKA_FILE_CHECKPOINT || c.kind == VKA_FILE_UNET || c.kind == VKA_FILE_VAE ||
               c.kind == VKA_FILE_TEXT) {
        vka_model *m;
        vka_error e = {0};
        if (vka_model_open_parsed(&m, st, &e) == VKA_OK)
            inspect_parts(x, m, false);
        else
            note_error(x, &e);
        vka_model_close(m);
    }
    note_family(x);
    return x->arena.failed ? vka_fail(err, VKA_E_MEMORY, "out of memory inspecting '%s'", path) : VKA_OK;
}

static vka_status inspect_folder(vka_inspection *x, const char *path, vka_error *err)
{
    vka_model *model;
    vka_motion *motion;
    vka_control *control;
    vka_lora *lora; /* PEFT's folder */
    vka_vision *vision;
    vka_error model_error = {0}, motion_error = {0}, control_error = {0}, lora_error = {0}, vision_error = {0};
    if (vka_model_open(&model, path, &model_error) == VKA_OK) {
        bool whole = vka_model_has(model, VKA_PART_UNET) || !vka_model_has(model, VKA_PART_VAE);
        x->kind = whole ? VKA_FILE_CHECKPOINT : VKA_FILE_VAE;
        inspect_parts(x, model, true);
        note_family(x);
        vka_model_close(model);
    } else if (vka_motion_open(&motion, path, &motion_error) == VKA_OK) {
        x->kind = VKA_FILE_MOTION;
        const vka_weights *w = vka_motion_weights(motion);
        for (size_t i = 0; i < vka_weights_count(w); i++)
            count_tensor(x, vka_weights_at(w, i));
        describe_motion(x, vka_motion_describe(motion), w);
        vka_motion_close(motion);
    } else if (vka_control_open(&control, path, &control_error) == VKA_OK) {
        x->kind = VKA_FILE_CONTROLNET;
        const vka_weights *w = vka_control_weights(control);
        for (size_t i = 0; i < vka_weights_count(w); i++)
            count_tensor(x, vka_weights_at(w, i));
        describe_control(x, vka_control_describe(control));
        vka_control_close(control);
    } else if (vka_vision_open(&vision, path, &vision_error) == VKA_OK) {
        x->kind = VKA_FILE_VISION;
        const vka_weights *w = vka_vision_weights(vision);
        for (size_t i = 0; i < vka_weights_count(w); i++)
            count_tensor(x, vka_weights_at(w, i));
        note_vision(x, vka_vision_describe(vision));
        vka_vision_close(vision);
    } else if (vka_lora_open(&lora, path, &lora_error) == VKA_OK) {
        x->kind = vka_lora_is_motion(lora) ? VKA_FILE_MOTION_LORA : VKA_FILE_LORA;
        x->variant = vka_lora_describe(lora)->algorithm;
        for (size_t i = 0; i < lora->st->count; i++)
            count_tensor(x, &lora->st->tensors[i]);
        vka_lora_notes(lora, note_lora, x);
        vka_lora_close(lora);
    } else { /* a ControlNet's own sentence where the folder says that it is one */
        const vka_error *why = strstr(model_error.what, "ControlNetModel") ? &control_error : &model_error;
        if (err && err->status == VKA_OK)
            *err = *why;
        return why->status;
    }
    return x->arena.failed ? vka_fail(err, VKA_E_MEMORY, "out of memory inspecting '%s'", path) : VKA_OK;
}

vka_status vka_inspect(vka_inspection *x, const char *path, vka_error *err)
{
    vka_safetensors st;
    vka_status s;
    *x = (vka_inspection){0};
    if (vka_path_is_dir(path)) {
        s = inspect_folder(x, path, err);
    } else if ((s = vka_model_file_open(&st, path, err)) == VKA_OK) {
        s = vka_inspect_parsed(x, &st, path, err);
        vka_safetensors_close(&st);
    }
    if (s != VKA_OK)
        vka_inspection_free(x);
    return s;
}

void vka_inspection_free(vka_inspection *x)
{
    vka_arena_free(&x->arena);
    *x = (vka_inspection){0};
}
