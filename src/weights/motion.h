/* motion.h - AnimateDiff motion modules.
 *
 * Table names: [down_blocks.B|mid_block|up_blocks.B].motion_modules.M.{norm, proj_in, proj_out}.{weight,bias} and
 * ...transformer_blocks.T.{attn1,attn2}.{to_q,to_k,to_v}.weight, .to_out.0.{weight,bias}, {norm1,norm2,norm3},
 * ff.net.0.proj, ff.net.2, and pos_embed.pe [1, L, C] where the file has a table.  norm3 is the feed-forward's norm,
 * also when there is one attention only. */
#ifndef VKA_WEIGHTS_MOTION_H
#define VKA_WEIGHTS_MOTION_H

#include "base/arch.h"
#include "base/error.h"
#include "weights/config.h"
#include "weights/safetensors.h"
#include "weights/table.h"

#include <stdbool.h>
#include <stdint.h>

/* "v1", "animatelcm", "sdxl-beta" ... */
const char *vka_motion_variant_name(enum vka_motion_variant v);
bool vka_motion_variant_from_name(const char *name, enum vka_motion_variant *out);
/* Whether it was made for SDXL; for SD1.5 otherwise. */
static inline bool vka_motion_is_sdxl(enum vka_motion_variant v)
{
    return v == VKA_MOTION_SDXL_BETA || v == VKA_MOTION_HOTSHOT_XL;
}
/* The name of the published file with this SHA-256 (hexadecimal, in full), or NULL. */
const char *vka_motion_published_by_hash(const char *sha256);

typedef struct vka_motion vka_motion;
/* A file (weights/file.h), or a folder with config.json and diffusion_pytorch_model.safetensors or .bin (diffusers' MotionAdapter).
 * VKA_E_INPUT with a sentence when it is something else (a LoRA, a checkpoint ...). */
vka_status vka_motion_open(vka_motion **out, const char *path, vka_error *err);
void vka_motion_close(vka_motion *m); /* NULL is fine */
/* The weights file itself, for its hash. */
const char *vka_motion_file(const vka_motion *m);
vka_weights *vka_motion_weights(vka_motion *m);
const vka_motion_info *vka_motion_describe(const vka_motion *m);
/* Treats the module as one of this family: its schedule, norm rule and recommendations in what vka_motion_describe returns. */
void vka_motion_set_family(vka_motion *m, enum vka_motion_variant v);
/* VKA_E_INPUT and a sentence when the module was not made for such a UNet (e.g. it is one for SDXL). */
vka_status vka_motion_fits(const vka_motion *m, const vka_unet_config *unet, vka_error *err);

/* The same steps over a parsed file, for inspection and fuzzing: renames into `w` (finished by the callee) and decides
 * the family.  `hint` is the file's base name, may be NULL; motion_family.c tells what it is good for. */
vka_status vka_motion_read(vka_weights *w, vka_motion_info *info, const vka_safetensors *st, const char *hint,
                           vka_error *err);
/* VKA_E_INPUT and a sentence when a tensor has not the shape that its block's channels ask for, or these cannot be split in the
 * heads or groups. */
vka_status vka_motion_check(const vka_motion_info *info, const vka_weights *w, const char *path, vka_error *err);
/* Adds the tensors that the module's slots should have and lack. */
void vka_motion_missing(vka_missing *missing, const vka_weights *w, const vka_motion_info *info);

#endif
