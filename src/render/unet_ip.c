/* unet_ip.c - image prompts as inputs of the UNet stage: the tokens of all pictures, which are the same for all frames, and for each
 * sample the number of its picture.  See stages.h. */
#include "render/unet_parts.h"

#include <string.h>

static vka_status tokens(void *user, uint32_t branch, uint32_t frame, void *out, vka_error *err)
{
    const struct vka_unet_ip *ip = user;
    uint32_t width = ip->stage->p.text_width, pitch = vka_pitch(width);
    size_t rows = ((size_t)ip->pictures + 1) * ip->tokens;
    (void)branch;
    (void)frame;
    if (!*ip->context)
        return vka_fail(err, VKA_E_INTERNAL, "an image prompt without a picture");
    for (size_t r = 0; r < rows; r++)
        memcpy((float *)out + r * pitch, *ip->context + r * width, width * sizeof(float));
    return VKA_OK;
}

static vka_status number(void *user, uint32_t branch, uint32_t frame, void *out, vka_error *err)
{
    const struct vka_unet_ip *ip = user;
    (void)err;
    *(int32_t *)out = vka_guide_part(&ip->stage->guide_rule, branch) < 0 ? (int32_t)ip->pictures : ip->picture[frame];
    return VKA_OK;
}

vka_status vka_unet_ips(struct vka_unet_stage *s, struct vka_net_ip *out, vka_error *err)
{
    static const struct {
        const char *prefix, *tokens, *number;
    } names[VKA_MAX_IPS] = {{"ip0.", "image tokens 0", "picture 0"}, {"ip1.", "image tokens 1", "picture 1"},
                            {"ip2.", "image tokens 2", "picture 2"}, {"ip3.", "image tokens 3", "picture 3"},
                            {"ip4.", "image tokens 4", "picture 4"}, {"ip5.", "image tokens 5", "picture 5"},
                            {"ip6.", "image tokens 6", "picture 6"}, {"ip7.", "image tokens 7", "picture 7"}};
    vka_status st = VKA_OK;
    uint32_t frames = s->p.frames;
    if (s->p.ip_count && !s->ip_picture) {
        if (!(s->ip_picture = vka_calloc((size_t)s->p.ip_count * frames, sizeof *s->ip_picture)))
            return vka_fail(err, VKA_E_MEMORY, "out of memory");
        for (uint32_t i = 0; i < s->p.ip_count; i++) {
            memcpy(s->ip_picture + (size_t)i * frames, s->p.ips[i].picture, frames * sizeof *s->ip_picture);
            s->p.ips[i].picture = s->ip_picture + (size_t)i * frames;
        }
    }
    for (uint32_t i = 0; st == VKA_OK && i < s->p.ip_count; i++) {
        struct vka_unet_ip *ip = &s->p.ips[i];
        ip->stage = s;
        st = vka_netrun_more(&s->unet, names[i].prefix, ip->pairs, err);
        out[i] = (struct vka_net_ip){
            .prefix = names[i].prefix,
            .context = vka_unet_stage_feed(s, &(struct vka_unet_feed){.name = names[i].tokens, .global = true, .dtype = VKA_F32,
                                                                      .n = ip->pictures + 1, .h = 1, .w = ip->tokens,
                                                                      .c = s->p.text_width, .user = ip, .get = tokens}),
            .index = vka_unet_stage_feed(s, &(struct vka_unet_feed){.name = names[i].number, .dtype = VKA_I32, .h = 1, .w = 1, .c = 1,
                                                                    .user = ip, .get = number}),
            .table = s->amounts,
            .channel = VKA_AMOUNTS + ip->value};
    }
    return st;
}
