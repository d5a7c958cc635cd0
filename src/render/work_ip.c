/* work_ip.c - see work_ip.h. */
#include "render/work_ip.h"

#include "render/setup_ip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

vka_status vka_work_ips_take(struct vka_work *w, struct vka_unet_stage_params *p, struct vka_work_ips *ips, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    vka_status st = VKA_OK;
    *ips = (struct vka_work_ips){.picture = {NULL}};
    for (uint32_t i = 0; st == VKA_OK && i < s->ip_count; i++) {
        const struct vka_setup_ip *ip = &s->ips[i];
        const vka_ip_info *info = vka_ip_adapter_describe(ip->file);
        const vka_vision_config *c = vka_vision_describe(s->vision);
        uint32_t side = c->image / c->patch;
        st = vka_setup_ip_frames(s, i, p->frames, &ips->picture[i], &ips->weight[i], err);
        if (st == VKA_OK && p->value_count == VKA_FRAME_VALUES)
            st = vka_fail(err, VKA_E_USAGE, "more than %d things have weights of their own in each frame", VKA_FRAME_VALUES);
        if (st != VKA_OK)
            break;
        p->ips[i] = (struct vka_unet_ip){.pairs = vka_ip_adapter_pairs(ip->file),
                                         .pictures = ip->pictures,
                                         .tokens = info->kind == VKA_IP_FULL ? side * side + 1 : info->tokens,
                                         .picture = ips->picture[i],
                                         .context = &w->ip_tokens[i],
                                         .value = p->value_count};
        p->values[p->value_count++] = (struct vka_frame_values){.frame = ips->weight[i], .start = ip->start, .end = ip->end};
        p->ip_count = i + 1;
    }
    return st;
}

void vka_work_ips_free(struct vka_work_ips *ips)
{
    for (int i = 0; i < VKA_MAX_IPS; i++) {
        free(ips->picture[i]);
        free(ips->weight[i]);
    }
}

vka_status vka_work_vision_build(struct vka_work *w, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    struct vka_vision_params p = {.f16 = w->f16, .table = w->table};
    if (!s->ip_count)
        return VKA_OK;
    p.weights = vka_vision_weights(s->vision);
    p.config = vka_vision_describe(s->vision);
    for (size_t i = 0; i < s->ip_count; i++)
        p.ips[p.ip_count++] = (struct vka_vision_ip){vka_ip_adapter_projection(s->ips[i].file), vka_ip_adapter_describe(s->ips[i].file),
                                                     s->ips[i].pictures};
    return vka_vision_stage_build(&w->vision, &p, err);
}

/* All pictures one behind the other. */
static float *gather(const struct vka_setup *s)
{
    const vka_vision_config *c = vka_vision_describe(s->vision);
    size_t each = (size_t)3 * c->image * c->image, all = 0, at = 0;
    for (size_t i = 0; i < s->ip_count; i++)
        all += s->ips[i].pictures;
    float *patches = vka_calloc(all * each, sizeof *patches);
    for (size_t i = 0; patches && i < s->ip_count; i++) {
        memcpy(patches + at, s->ips[i].patches, s->ips[i].pictures * each * sizeof *patches);
        at += s->ips[i].pictures * each;
    }
    return patches;
}

vka_status vka_work_vision_run(struct vka_work *w, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    if (!s->ip_count || w->ip_tokens[0])
        return VKA_OK;
    float *patches = gather(s), *tokens[VKA_MAX_IPS] = {NULL};
    size_t counts[VKA_MAX_IPS] = {0};
    vka_status st = patches ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; st == VKA_OK && i < s->ip_count; i++) {
        counts[i] = ((size_t)s->ips[i].pictures + 1) * vka_vision_stage_tokens(&w->vision, i) * vka_ip_adapter_describe(s->ips[i].file)->width;
        tokens[i] = vka_calloc(counts[i], sizeof **tokens);
        if (!tokens[i])
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    if (st == VKA_OK)
        st = vka_vision_stage_run(&w->vision, gpu, patches, 0, tokens, NULL, NULL, ticker, &w->cx->log, err);
    for (uint32_t i = 0; i < s->ip_count; i++) {
        for (size_t k = 0; st == VKA_OK && k < counts[i]; k++)
            if (!isfinite(tokens[i][k]))
                st = vka_fail(err, VKA_E_VERIFY, "what the image encoder makes of the pictures of '%s' holds NaN or Inf", s->ips[i].path);
    }
    for (uint32_t i = 0; i < s->ip_count; i++)
        if (st == VKA_OK)
            w->ip_tokens[i] = tokens[i];
        else
            free(tokens[i]);
    free(patches);
    return st;
}
