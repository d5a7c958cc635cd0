/* names_control.c - a ControlNet's names to diffusers'; see names.h.
 *
 * A UNet's encoder in LDM's or diffusers' naming, and what ControlNets have besides: the hint's convolutions
 * (input_hint_block.0, .2 ... .14: activations lie between), zero_convs.N.0, middle_block_out.0. */
#include "weights/names.h"

#include <stdio.h>
#include <string.h>

/* The parameter's own name where it is weight or bias. */
static const char *leaf(const char *s)
{
    return s && (strcmp(s, "weight") == 0 || strcmp(s, "bias") == 0) ? s : NULL;
}

const char *vka_control_prefix(const vka_safetensors *st)
{
    static const char *const prefixes[] = {"control_model.", "controlnet.module.", "controlnet."};
    for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (size_t i = 0; i < st->count; i++)
            if (vka_name_after(st->tensors[i].name, prefixes[p]))
                return prefixes[p];
    return "";
}

void vka_control_map(vka_control_names *map, const vka_safetensors *st, const char *prefix)
{
    vka_ldm_map_unet(&map->unet, st, prefix);
    map->hint_last = 0;
    for (size_t i = 0; i < st->count; i++) {
        const char *s = vka_name_after(st->tensors[i].name, prefix);
        uint32_t n;
        if (s && (s = vka_name_after(s, "input_hint_block.")) && vka_name_index_at(s, &n) && n > map->hint_last)
            map->hint_last = n;
    }
}

enum vka_name_fate vka_rename_control(char *out, const char *name, const vka_control_names *map)
{
    const char *s, *r;
    uint32_t n;
    int attention;
    if ((s = vka_name_after(name, "input_hint_block.")) && (r = leaf(vka_name_index_at(s, &n)))) {
        if (n % 2)
            return VKA_NAME_STRANGE;
        if (n == 0 || n == map->hint_last)
            snprintf(out, VKA_NAME_CAP, "controlnet_cond_embedding.%s.%s", n ? "conv_out" : "conv_in", r);
        else
            snprintf(out, VKA_NAME_CAP, "controlnet_cond_embedding.blocks.%u.%s", (unsigned)(n / 2 - 1), r);
        return VKA_NAME_KEEP;
    }
    if ((s = vka_name_after(name, "zero_convs.")) && (s = vka_name_index_at(s, &n)) && (r = vka_name_after(s, "0.")) && leaf(r)) {
        snprintf(out, VKA_NAME_CAP, "controlnet_down_blocks.%u.%s", (unsigned)n, r);
        return VKA_NAME_KEEP;
    }
    if ((s = vka_name_after(name, "middle_block_out.0.")) && leaf(s)) {
        snprintf(out, VKA_NAME_CAP, "controlnet_mid_block.%s", s);
        return VKA_NAME_KEEP;
    }
    if (vka_rename_motion(out, name, &attention) == VKA_NAME_KEEP)
        return attention > 0 ? VKA_NAME_IGNORE : VKA_NAME_KEEP;
    return vka_rename_unet(out, name, &map->unet);
}
