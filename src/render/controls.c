/* controls.c - see controls.h. */
#include "render/controls.h"

#include "render/tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

vka_status vka_controls_begin(struct vka_controls *c, const struct vka_setup *s, uint32_t frames, uint32_t height, uint32_t width,
                              vka_error *err)
{
    vka_status st = VKA_OK;
    *c = (struct vka_controls){.count = s->control_count};
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++) {
        struct vka_hints *h = &c->hints[i];
        h->info = vka_control_describe(s->controls[i].file);
        h->height = height * h->info->hint_factor;
        h->width = width * h->info->hint_factor;
        h->frames = frames;
        h->picture_of = vka_calloc(frames, sizeof *h->picture_of);
        c->weights[i] = vka_calloc(frames, sizeof *c->weights[i]);
        st = h->picture_of && c->weights[i] ? vka_setup_control_weights(s, i, frames, c->weights[i], err)
                                            : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    return st;
}

/* vka_unet_control.get */
static vka_status hint_of(void *user, uint32_t branch, uint32_t frame, void *out, vka_error *err)
{
    const struct vka_hints *h = user;
    size_t pixels = (size_t)h->height * h->width;
    int32_t picture = h->picture_of[frame];
    (void)branch;
    (void)err;
    if (picture < 0)
        return VKA_OK;
    if (h->info->kind == VKA_CONTROL_SPARSE_RGB) {
        uint32_t channels = h->info->hint_channels - 1, to = vka_pitch(h->info->hint_channels);
        float *rows = out;
        for (size_t p = 0; p < pixels; p++) {
            for (uint32_t k = 0; k < channels; k++)
                rows[p * to + k] = h->latents[((size_t)picture * channels + k) * pixels + p];
            rows[p * to + channels] = 1;
        }
        return VKA_OK;
    }
    const uint8_t *rgb = h->rgb + (size_t)picture * pixels * 3;
    uint8_t *bytes = out;
    for (size_t p = 0; p < pixels; p++) {
        memcpy(bytes + 4 * p, rgb + 3 * p, 3);
        bytes[4 * p + 3] = 255;
    }
    return VKA_OK;
}

void vka_controls_enter(struct vka_controls *c, const struct vka_setup *s, struct vka_unet_stage_params *p)
{
    for (uint32_t i = 0; i < c->count && p->value_count < VKA_FRAME_VALUES; i++) {
        const struct vka_control_spec *spec = &s->controls[i].spec;
        struct vka_unet_control *to = &p->controls[p->control_count++];
        *to = (struct vka_unet_control){.weights = vka_control_weights(s->controls[i].file), .info = c->hints[i].info,
                                        .value = p->value_count, .user = &c->hints[i], .get = hint_of};
        for (uint32_t k = 0; k < to->info->outputs; k++)
            to->layers[k] = vka_control_layer(spec->mode, k, to->info->outputs);
        p->values[p->value_count++] = (struct vka_frame_values){.frame = c->weights[i], .start = spec->start, .end = spec->end,
                                                                .guided_only = spec->mode == VKA_CONTROL_CONTROL};
    }
}

static vka_status read_one(struct vka_hints *h, uint32_t number, const vka_safetensors *in, vka_error *err)
{
    char name[24];
    float *values = NULL, *mask = NULL;
    uint32_t frames = h->frames, channels = h->info->hint_channels - 1;
    size_t pixels = (size_t)h->height * h->width;
    bool latents = h->info->kind == VKA_CONTROL_SPARSE_RGB;
    snprintf(name, sizeof name, "hint%u", (unsigned)number);
    vka_status st = latents ? vka_read_clip(in, name, &frames, &channels, &h->height, &h->width, &values, err)
                            : vka_read_frames(in, name, &frames, &h->height, &h->width, &values, err);
    snprintf(name, sizeof name, "mask%u", (unsigned)number);
    if (st == VKA_OK && h->info->kind != VKA_CONTROL_NET) {
        const vka_weight *w = vka_safetensors_find(in, name);
        if (w && vka_weight_count(w) == frames && (mask = vka_calloc(frames, sizeof *mask)))
            vka_dtype_to_f32(mask, w->data, w->dtype, frames);
        else
            st = vka_fail(err, VKA_E_INPUT, "the tensor '%s' is not there, or not one of %u numbers", name, frames);
    }
    h->pictures = frames;
    for (uint32_t f = 0; st == VKA_OK && f < frames; f++)
        h->picture_of[f] = mask && mask[f] <= 0 ? -1 : (int32_t)f;
    free(mask);
    if (latents) {
        h->latents = values;
        return st;
    }
    h->rgb = st == VKA_OK ? vka_calloc(frames, pixels * 3) : NULL;
    if (st == VKA_OK && !h->rgb)
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; st == VKA_OK && i < frames * pixels * 3; i++)
        h->rgb[i] = (uint8_t)lrintf(fminf(fmaxf(values[i], 0), 1) * 255);
    free(values);
    return st;
}

vka_status vka_controls_read(struct vka_controls *c, const vka_safetensors *in, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < c->count; i++)
        st = read_one(&c->hints[i], i, in, err);
    return st;
}

void vka_controls_end(struct vka_controls *c)
{
    for (uint32_t i = 0; i < VKA_CONTROLS; i++) {
        free(c->hints[i].picture_of);
        free(c->hints[i].rgb);
        free(c->hints[i].latents);
        free(c->weights[i]);
    }
    *c = (struct vka_controls){0};
}
