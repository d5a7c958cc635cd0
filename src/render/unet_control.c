/* unet_control.c - ControlNets beside the UNet stage's network: their weights under a prefix, their hints as further inputs.  See
 * unet_parts.h. */
#include "render/unet_parts.h"

#include <stdio.h>

vka_status vka_unet_controls_build(struct vka_unet_stage *s, struct vka_net_control_args *args, vka_error *err)
{
    static const char *const names[VKA_CONTROLS] = {"hint 0", "hint 1", "hint 2", "hint 3", "hint 4", "hint 5", "hint 6", "hint 7"};
    vka_status st = VKA_OK;
    if (s->p.control_count > VKA_CONTROLS)
        return vka_fail(err, VKA_E_USAGE, "%u ControlNets are more than %d", s->p.control_count, VKA_CONTROLS);
    for (uint32_t i = 0; st == VKA_OK && i < s->p.control_count; i++) {
        const struct vka_unet_control *c = &s->p.controls[i];
        const vka_control_info *info = c->info;
        uint32_t h = s->p.height * info->hint_factor, w = s->p.width * info->hint_factor;
        bool latents = info->kind == VKA_CONTROL_SPARSE_RGB;
        char prefix[16];
        snprintf(prefix, sizeof prefix, "control%u.", (unsigned)i);
        st = vka_netrun_more(&s->unet, prefix, c->weights, err);
        vka_tensor hint = vka_unet_stage_feed(
            s, &(struct vka_unet_feed){.name = names[i], .dtype = latents ? VKA_F32 : VKA_U8X4, .h = h, .w = w,
                                       .c = latents ? info->hint_channels : 1, .user = c->user, .get = c->get});
        args[i] = (struct vka_net_control_args){info, hint, VKA_AMOUNTS + c->value, c->layers};
    }
    return st;
}
